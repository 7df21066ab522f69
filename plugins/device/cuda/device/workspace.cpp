#include "plugins/device/cuda/device/workspace.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "plugins/device/cuda/device/cuda_error.hpp"
#include "plugins/device/cuda/device/queries.hpp"

namespace caravan::cuda {

Workspace::~Workspace() {
  if (!watch_.is_given_up()) cudaFree(block_);
}

void Workspace::begin(std::size_t bytes, std::size_t takes) {
  used_ = 0;
  const std::size_t needed = bytes + takes * kAlignment;
  if (needed > capacity_) grow(needed);
}

void Workspace::grow(std::size_t bytes) {
  cudaStreamCaptureStatus capture{};
  CARAVAN_CUDA_CHECK(cudaStreamIsCapturing(stream_, &capture));
  CARAVAN_CHECK(capture == cudaStreamCaptureStatusNone, DeviceError,
                fmt::format("scratch of {} bytes is needed while a graph is captured (there are {}, and it "
                            "cannot grow now). Run the step once before capturing it?",
                            bytes, capacity_));
  watch_.wait_until([&] { return is_idle(stream_); });
  CARAVAN_CUDA_CHECK(cudaFree(block_));
  block_ = nullptr;
  capacity_ = 0;
  void* block = nullptr;
  const cudaError_t error = cudaMalloc(&block, bytes);
  if (error == cudaErrorMemoryAllocation) (void)cudaGetLastError();
  CARAVAN_CHECK(error != cudaErrorMemoryAllocation, DeviceError,
                fmt::format("no {} bytes of device memory for the scratch of operators. A smaller batch, "
                            "recomputation or sharding?",
                            bytes));
  CARAVAN_CUDA_CHECK(error);
  block_ = static_cast<std::byte*>(block);
  capacity_ = bytes;
}

void* Workspace::take_bytes(std::size_t bytes) {
  std::byte* data = block_ + used_;
  used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  CARAVAN_CHECK(used_ <= capacity_, DeviceError,
                fmt::format("scratch of {} bytes was taken ({} were asked for)", used_, capacity_));
  return data;
}

}  // namespace caravan::cuda
