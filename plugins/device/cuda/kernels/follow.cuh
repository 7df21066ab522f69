#pragma once

#include <cuda_runtime.h>

#include "plugins/device/cuda/device/cuda_error.hpp"

// Kernels that begin while the one before them ends: what needs nothing of it, such as asking for weights, is
// done meanwhile. (CUDA's programmatic dependent launch; it stays in a captured graph.)
namespace caravan::cuda {

/// Until everything that the stream had before is done and visible. Every kernel that launch_following()
/// starts calls it before it reads or writes what another kernel may write or read.
__device__ inline void wait_for_kernel_before() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

/// From here on the next kernel may begin, where there is room for it.
__device__ inline void let_next_kernel_begin() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

/// Asks for memory of the GPU to be in its cache: 16-byte aligned, a multiple of 16 bytes. One thread.
__device__ inline void ask_for(const void* from, unsigned bytes) {
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from), "r"(bytes) : "memory");
}

/// kernel<<<grid, block, shared, stream>>>(args...), which may begin before the one before it is over.
template <class... Parameters, class... Args>
void launch_following(void (*kernel)(Parameters...), dim3 grid, dim3 block, cudaStream_t stream,
                      std::size_t shared, const Args&... args) {
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  config.attrs = &early;
  config.numAttrs = 1;
  CARAVAN_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, Parameters(args)...));
}

}  // namespace caravan::cuda
