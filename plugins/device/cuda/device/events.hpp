#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <vector>

#include "caravan/device.hpp"

namespace caravan::cuda {

/// The events of one lane, numbered as they are recorded. Their CUDA events are used again after kRing
/// recordings; who waits for an older one waits for the later work of the same lane that took its place,
/// which is right and only stricter.
class LaneEvents {
 public:
  LaneEvents() = default;
  ~LaneEvents();
  LaneEvents(const LaneEvents&) = delete;
  LaneEvents& operator=(const LaneEvents&) = delete;

  /// 1, 2, 3, …
  std::uint64_t record(cudaStream_t stream);
  void wait(cudaStream_t stream, std::uint64_t number) const;
  /// Whether everything before it has finished.
  bool has_happened(std::uint64_t number) const;

 private:
  cudaEvent_t find(std::uint64_t number) const;

  static constexpr std::uint64_t kRing = 1024;
  std::vector<cudaEvent_t> ring_;
  std::uint64_t recorded_ = 0;
};

}  // namespace caravan::cuda
