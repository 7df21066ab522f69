#pragma once

#include <cuda_runtime.h>

// Reductions over a grid in one launch: every block leaves its part in memory, and the last one to finish
// adds the parts, always in the same order.
namespace caravan::cuda {

/// On every thread: whether this block is the last of the grid, whose writes are then all visible. To be
/// called after the block's parts are written, once a launch; `counter` is Ticket's.
__device__ inline bool is_last_block(unsigned* counter) {
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(counter, 1u) == gridDim.x * gridDim.y - 1;
    if (last) *counter = 0;
  }
  __syncthreads();
  __threadfence();
  return last;
}

}  // namespace caravan::cuda
