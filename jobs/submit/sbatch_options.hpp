#pragma once

#include <string>
#include <vector>

#include "jobs/submit/submission.hpp"

namespace caravan::jobs {

/// What sbatch's options need besides request and site.
struct SbatchNames {
  std::string job;
  std::string log;    ///< with Slurm's % fields
  std::string array;  ///< "0-7%2"; "": no array
};

/// `sbatch` with its options, every value after = in one word. ConfigError for a time limit or a node that
/// cannot be right.
std::vector<std::string> sbatch_options(const SubmitRequest& request, const Site& site,
                                        const SbatchNames& names);

}  // namespace caravan::jobs
