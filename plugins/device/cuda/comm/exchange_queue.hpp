#pragma once

#include <cuda_runtime_api.h>

#include "plugins/device/cuda/device/context.hpp"
#include "plugins/device/cuda/device/events.hpp"

namespace caravan::cuda {

/// A stream of exchanges beside the compute lane: what is posted comes after what the compute lane has, and
/// the compute lane comes after it once it is waited for. The host never waits.
class ExchangeQueue {
 public:
  ExchangeQueue(Context& context, cudaStream_t stream) : compute_(context.stream()), stream_(stream) {}

  cudaStream_t stream() const noexcept { return stream_; }
  /// What is posted from here on sees what the compute lane has written so far.
  void follow_compute() {
    if (stream_ != compute_) begun_.wait(stream_, begun_.record(compute_));
  }
  /// The number of what was posted so far; 0: the compute lane has it itself.
  std::uint64_t mark() { return stream_ == compute_ ? 0 : done_.record(stream_); }
  /// The compute lane waits for what had been posted at that mark.
  void join_compute(std::uint64_t mark) const {
    if (mark != 0) done_.wait(compute_, mark);
  }
  bool has_happened(std::uint64_t mark) const { return mark == 0 || done_.has_happened(mark); }

 private:
  cudaStream_t compute_, stream_;
  LaneEvents begun_, done_;
};

}  // namespace caravan::cuda
