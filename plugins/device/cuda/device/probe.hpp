#pragma once

#include <cuda_runtime_api.h>

namespace caravan::cuda {

/// Whether the kernels of this plugin are for the current GPU: cudaErrorNoKernelImageForDevice or
/// cudaErrorInvalidDeviceFunction when not.
cudaError_t probe_kernels();

}  // namespace caravan::cuda
