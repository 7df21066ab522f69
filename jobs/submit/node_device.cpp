#include "jobs/submit/node_device.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/log.hpp"
#include "jobs/submit/stand_in_device.hpp"

namespace caravan::jobs {
namespace {

void release(void* device) {
  delete static_cast<StandInDevice*>(device);
}

void keep(void*) {}

}  // namespace

Made<Device> NodeDevice::lend(const Job& job) {
  const std::string name = name_for(job), key = name + "\n" + job.device_options.to_yaml();
  auto found = made_.find(key);
  if (found == made_.end()) found = made_.emplace(key, make(name, job.device_options)).first;
  return {found->second.get(), keep};
}

/// As choose_device() would choose there, which is told by what is installed, not by what works here.
std::string NodeDevice::name_for(const Job& job) {
  if (job.device != "auto") return job.device;
  if (!job.device_options.entries().empty()) choose_device(*registry_, job.device, job.device_options);
  const auto known = registry_->names(Device::kKind);
  const auto has = [&](const char* name) {
    return std::find(known.begin(), known.end(), name) != known.end();
  };
  if (has_gpus_ && has("cuda")) return "cuda";
  return has("host") ? "host" : "reference";
}

Made<Device> NodeDevice::make(const std::string& name, const Config& options) {
  const auto known = registry_->names(Device::kKind);
  const bool is_installed = std::find(known.begin(), known.end(), name) != known.end();
  std::string problem;
  try {
    return registry_->create<Device>(name, Host::of(*registry_), options);
  } catch (const DeviceError& error) {
    problem = error.message();
  } catch (const PluginError& error) {
    if (!is_installed) throw;
    problem = error.message();  // a library of the nodes that is not here
  }
  log_info(fmt::format("device {} is not of this machine, so the job is checked without it ({})", name,
                       problem.substr(0, problem.find('\n'))));
  auto reference = registry_->create<Device>("reference", {}, Config::map());
  return {new StandInDevice(name, std::move(reference)), release};
}

}  // namespace caravan::jobs
