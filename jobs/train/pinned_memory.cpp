#include "jobs/train/pinned_memory.hpp"

#include <fmt/format.h>

#include "caravan/log.hpp"

namespace caravan::jobs {

PinnedMemory::PinnedMemory(Device& device, std::span<std::byte> memory)
    : device_(device), memory_(memory), is_pinned_(device.pin_host(memory.data(), memory.size())) {
  if (!is_pinned_)
    log_warning(
        fmt::format("{} bytes for copies of the state cannot be pinned: copying them takes longer. "
                    "A higher limit of locked memory (ulimit -l)?",
                    memory.size()));
}

PinnedMemory::~PinnedMemory() {
  if (is_pinned_) device_.unpin_host(memory_.data());
}

}  // namespace caravan::jobs
