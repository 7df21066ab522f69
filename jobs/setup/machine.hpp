#pragma once

#include <memory>
#include <string>

#include "caravan/comm.hpp"
#include "caravan/device.hpp"
#include "caravan/registry.hpp"

namespace caravan::jobs {

/// The registry of this executable: linked-in components (reference device, file data sources) and the
/// plugins of its installation or build tree.
std::unique_ptr<Registry> make_registry();

/// `wanted`: the name of a device, or auto: the first of cuda, host, reference that this machine can serve;
/// says which and why. `options`: keys of a named device. DeviceError or PluginError when it cannot be had.
Made<Device> choose_device(Registry& registry, const std::string& wanted,
                           const Config& options = Config::map());

/// `wanted`: auto (what the device prefers), fp32 or bf16. ConfigError when the device does not compute in
/// it.
DType choose_precision(const Device& device, const std::string& wanted);

/// [collective] The text of rank 0 on every rank.
std::string broadcast_text(Communicator& world, std::string text);

/// Memory of this process in bytes, from /proc/self/status: now, and at its peak.
struct ProcessMemory {
  std::int64_t resident = 0, peak = 0;
};
ProcessMemory process_memory();

}  // namespace caravan::jobs
