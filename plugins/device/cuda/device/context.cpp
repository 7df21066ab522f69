#include "plugins/device/cuda/device/context.hpp"

#include <fmt/format.h>

#include "caravan/error.hpp"
#include "plugins/device/cuda/device/cuda_error.hpp"
#include "plugins/device/cuda/device/probe.hpp"

namespace caravan::cuda {
namespace {

int attribute(cudaDeviceAttr which, int ordinal) {
  int value = 0;
  CARAVAN_CUDA_CHECK(cudaDeviceGetAttribute(&value, which, ordinal));
  return value;
}

cudaStream_t make_stream_of(int priority) {
  cudaStream_t stream = nullptr;
  CARAVAN_CUDA_CHECK(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, priority));
  return stream;
}

void check_kernels_run(int ordinal) {
  const cudaError_t error = probe_kernels();
  if (error != cudaErrorNoKernelImageForDevice && error != cudaErrorInvalidDeviceFunction) {
    CARAVAN_CUDA_CHECK(error);
    return;
  }
  const int major = attribute(cudaDevAttrComputeCapabilityMajor, ordinal),
            minor = attribute(cudaDevAttrComputeCapabilityMinor, ordinal);
  throw DeviceError(fmt::format(
      "device 'cuda' was built for architectures " CARAVAN_CUDA_ARCHITECTURES
      " (GPU {} has compute capability {}.{}). Rebuild with -DCMAKE_CUDA_ARCHITECTURES={}{}-real?",
      ordinal, major, minor, major, minor));
}

}  // namespace

Context::Context(int ordinal, Determinism determinism) : ordinal_(ordinal), determinism_(determinism) {
  CARAVAN_CUDA_CHECK(cudaSetDevice(ordinal));
  check_kernels_run(ordinal);
  multiprocessors_ = attribute(cudaDevAttrMultiProcessorCount, ordinal);
  shared_memory_ = static_cast<std::size_t>(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, ordinal));
  streams_.push_back(make_stream_of(0));
  while (streams_.size() < kLanes) make_stream();
  workspace_ = std::make_unique<Workspace>(stream(), watch_);
}

cudaStream_t Context::make_stream() {
  int least = 0, greatest = 0;
  CARAVAN_CUDA_CHECK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  return streams_.emplace_back(make_stream_of(greatest));
}

/// Where exchanges may never end the process ends with what it has.
Context::~Context() {
  if (watch_.is_given_up()) {
    static_cast<void>(new decltype(kept_)(std::move(kept_)));  // libraries wait for the GPU when they go
    return;
  }
  cudaDeviceSynchronize();
  kept_.clear();
  workspace_.reset();
  for (const cudaStream_t stream : streams_) cudaStreamDestroy(stream);
}

}  // namespace caravan::cuda
