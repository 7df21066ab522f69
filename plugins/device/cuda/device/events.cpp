#include "plugins/device/cuda/device/events.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "plugins/device/cuda/device/cuda_error.hpp"
#include "plugins/device/cuda/device/queries.hpp"

namespace caravan::cuda {

LaneEvents::~LaneEvents() {
  for (cudaEvent_t event : ring_) cudaEventDestroy(event);
}

std::uint64_t LaneEvents::record(cudaStream_t stream) {
  if (ring_.size() < kRing && recorded_ == ring_.size()) {
    cudaEvent_t event = nullptr;
    CARAVAN_CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    ring_.push_back(event);
  }
  CARAVAN_CUDA_CHECK(cudaEventRecord(ring_[recorded_ % kRing], stream));
  return ++recorded_;
}

cudaEvent_t LaneEvents::find(std::uint64_t number) const {
  CARAVAN_CHECK(number > 0 && number <= recorded_, DeviceError,
                fmt::format("event {} is waited for (only {} were recorded on its lane)", number, recorded_));
  return ring_[(number - 1) % kRing];
}

void LaneEvents::wait(cudaStream_t stream, std::uint64_t number) const {
  CARAVAN_CUDA_CHECK(cudaStreamWaitEvent(stream, find(number), 0));
}

bool LaneEvents::has_happened(std::uint64_t number) const {
  return cuda::has_happened(find(number));
}

}  // namespace caravan::cuda
