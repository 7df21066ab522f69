#include "jobs/plan/paper_device.hpp"

namespace caravan::jobs {

void* PaperDevice::allocate(std::size_t bytes, std::string_view) {
  const std::uintptr_t place = next_;
  next_ += bytes / kAlignment * kAlignment + kAlignment;
  return reinterpret_cast<void*>(place);
}

}  // namespace caravan::jobs
