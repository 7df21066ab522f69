#include "events.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "cuda_error.hpp"

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

void LaneEvents::wait(cudaStream_t stream, std::uint64_t number) const {
  CARAVAN_CHECK(number <= recorded_, DeviceError,
                fmt::format("event {} is waited for (only {} were recorded on its lane)", number, recorded_));
  if (number == 0) return;
  CARAVAN_CUDA_CHECK(cudaStreamWaitEvent(stream, ring_[(number - 1) % kRing], 0));
}

}  // namespace caravan::cuda
