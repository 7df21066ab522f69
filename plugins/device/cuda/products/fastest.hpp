#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>

namespace caravan::cuda {

/// The index of the fastest of `count` ways to do the same work, by the shortest of a few runs of each on
/// `stream`, which it waits for; the first unless another is clearly faster. `run(i)` posts way i once, and
/// says false when that way does not work after all.
std::size_t fastest(std::size_t count, cudaStream_t stream, const std::function<bool(std::size_t)>& run);

}  // namespace caravan::cuda
