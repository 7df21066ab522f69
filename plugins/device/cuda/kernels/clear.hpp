#pragma once

#include <cuda_runtime_api.h>

#include "plugins/device/cuda/device/cuda_error.hpp"
#include "plugins/device/cuda/device/view.hpp"

namespace caravan::cuda {

/// m = 0, gaps between rows left alone.
inline void clear(const Matrix& m, cudaStream_t stream) {
  const std::size_t bytes = size_of(m.dtype), pitch = static_cast<std::size_t>(m.stride) * bytes;
  CARAVAN_CUDA_CHECK(cudaMemset2DAsync(m.data, pitch, 0, static_cast<std::size_t>(m.columns) * bytes,
                                       static_cast<std::size_t>(m.rows), stream));
}

}  // namespace caravan::cuda
