#include "plugins/device/cuda/device/cuda_error.hpp"

#include <fmt/format.h>

#include <string_view>

#include "caravan/error.hpp"

namespace caravan::cuda {
namespace {

/// What a user can do about it; empty when nothing general can be said.
std::string_view remedy_of(cudaError_t error) {
  switch (error) {
    case cudaErrorMemoryAllocation:
      return " A smaller batch, recomputation or sharding?";
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
      return " Rebuild with -DCMAKE_CUDA_ARCHITECTURES for this GPU?";
    case cudaErrorInsufficientDriver:
    case cudaErrorNoDevice:
      return " Is the NVIDIA driver installed, and a GPU given to this process (CUDA_VISIBLE_DEVICES)?";
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
      return " An earlier kernel did it; CUDA_LAUNCH_BLOCKING=1 or compute-sanitizer names it.";
    default:
      return "";
  }
}

}  // namespace

void throw_cuda_error(cudaError_t error, const char* call, const char* file, int line) {
  const std::string_view path = file;
  throw DeviceError(fmt::format("{} failed: {} ({}) at {}:{}.{}", call, cudaGetErrorString(error),
                                cudaGetErrorName(error), path.substr(path.rfind('/') + 1), line,
                                remedy_of(error)));
}

}  // namespace caravan::cuda
