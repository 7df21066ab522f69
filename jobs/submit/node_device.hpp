#pragma once

#include <map>
#include <memory>
#include <string>

#include "jobs/job/job.hpp"
#include "jobs/setup/machine.hpp"

namespace caravan::jobs {

/// What jobs will compute on, on nodes with or without GPUs: the device itself where this machine can make
/// it, else what stands in for it. Made once, lent to every set-up.
class NodeDevice {
 public:
  explicit NodeDevice(bool has_gpus) : has_gpus_(has_gpus), registry_(make_registry()) {}

  /// Borrowed from this. PluginError for a device that no plugin has, ConfigError for options that it does
  /// not know.
  Made<Device> lend(const Job& job);

 private:
  std::string name_for(const Job& job);
  Made<Device> make(const std::string& name, const Config& options);

  bool has_gpus_;
  std::unique_ptr<Registry> registry_;
  std::map<std::string, Made<Device>> made_;  ///< by name and options
};

}  // namespace caravan::jobs
