#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "caravan/device.hpp"

namespace caravan::jobs {

/// Memory of this machine in bytes, as far as this process may use it.
struct HostMemory {
  std::size_t total = 0;      ///< of the machine, or the limit of the process's group (cgroup v2)
  std::size_t available = 0;  ///< of the machine now, caches that can be dropped included
};
/// Nothing where the system does not say.
std::optional<HostMemory> host_memory();

/// What `device` can give at most now: free memory of a device of its own, all of the machine's otherwise.
/// Nothing where neither is known.
std::optional<std::size_t> room_on(const Device& device);

/// DeviceError when `bytes` is more than `device` can give at most; `what`: what they are for, in a sentence
/// "<what> needs …"; `remedy`: what to change. A machine that promises memory and then kills is not asked.
void check_room(const Device& device, std::size_t bytes, std::string_view what, std::string_view remedy);

}  // namespace caravan::jobs
