#include "jobs/state/pinned_memory.hpp"

#include <fmt/format.h>

#include "caravan/log.hpp"

namespace caravan::jobs {

PinnedMemory::PinnedMemory(Device& device, std::span<std::byte> memory) : device_(device), memory_(memory) {
  const std::string problem = device.pin_host(memory.data(), memory.size());
  is_pinned_ = problem.empty();
  if (!is_pinned_)
    log_local(LogLevel::warning, fmt::format("{} bytes for copies of the state cannot be pinned ({}): every "
                                             "copy takes longer. Fewer ranks on this node?",
                                             memory.size(), problem));
}

PinnedMemory::~PinnedMemory() {
  if (is_pinned_) device_.unpin_host(memory_.data());
}

}  // namespace caravan::jobs
