#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "caravan/config.hpp"

namespace caravan::jobs {

/// A cluster as its site file describes it; every word is checked. Empty texts: not given.
struct Site {
  std::string partition;  ///< names with commas between
  std::string account, qos, reservation, constraint, memory, time;
  bool exclusive = true;
  std::string gres;  ///< words with commas between; the GPUs of a node may be among them
  bool gres_has_gpus = false;
  std::int64_t stop_before_limit = 0, gpus_per_node = 0, tasks_per_node = 1, cpus_per_task = 1;
  std::string launcher, mpi, binary;
  std::vector<std::string> modules;
  struct Container {
    std::string kind = "none", image;
    std::vector<std::string> mounts;
  } container;
  std::vector<std::pair<std::string, std::string>> environment;
  std::vector<std::string> setup;  ///< lines of bash, the site's author's
  std::vector<std::string> sbatch_options, srun_options;
  std::string mail_type, mail_address;
  std::int64_t max_restarts = 0, max_idle_restarts = 0, node_failures = 0;
};

/// The site file `name`: a path that ends with .yaml, or a name in the folder of CARAVAN_SITES or among the
/// installed ones. `changes`: "key=value" over its keys. ConfigError with file and line, or the nearest name.
Site load_site(const std::string& name, const std::vector<std::string>& changes);

/// The folder of the batch scripts and of `sites`.
std::filesystem::path slurm_folder();

}  // namespace caravan::jobs
