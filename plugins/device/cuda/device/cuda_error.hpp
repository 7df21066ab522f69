#pragma once

#include <cuda_runtime_api.h>

namespace caravan::cuda {

/// A call into a CUDA library that failed: DeviceError with the call, its error's name and text, and the
/// place.
[[noreturn]] void throw_cuda_error(cudaError_t error, const char* call, const char* file, int line);

}  // namespace caravan::cuda

/// For every call that returns cudaError_t.
#define CARAVAN_CUDA_CHECK(call)                                                   \
  do {                                                                             \
    const cudaError_t caravan_error = (call);                                      \
    if (caravan_error != cudaSuccess)                                              \
      ::caravan::cuda::throw_cuda_error(caravan_error, #call, __FILE__, __LINE__); \
  } while (false)
