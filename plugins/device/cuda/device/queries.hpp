#pragma once

#include <cuda_runtime_api.h>

#include "plugins/device/cuda/device/cuda_error.hpp"

// Whether the GPU has come so far, without waiting.
namespace caravan::cuda {

inline bool is_ready(cudaError_t answer) {
  if (answer != cudaErrorNotReady) CARAVAN_CUDA_CHECK(answer);
  return answer == cudaSuccess;
}

/// Everything before the event has finished.
inline bool has_happened(cudaEvent_t event) {
  return is_ready(cudaEventQuery(event));
}

/// Everything that was posted on the stream has finished.
inline bool is_idle(cudaStream_t stream) {
  return is_ready(cudaStreamQuery(stream));
}

}  // namespace caravan::cuda
