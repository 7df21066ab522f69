#pragma once

#include <algorithm>
#include <cstdint>

#include "plugins/device/cuda/device/context.hpp"
#include "plugins/device/cuda/device/cuda_error.hpp"

// How kernels are started: grids, and the check after a launch.
namespace caravan::cuda {

/// ⌈a / b⌉ for a ≥ 0, b > 0
constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

/// Blocks of `per_block` items each for `items` in all; a kernel whose loop steps by the grid takes the rest
/// when there are more than `most`.
inline unsigned blocks_for(std::int64_t items, std::int64_t per_block, std::int64_t most = 1 << 30) {
  return static_cast<unsigned>(std::clamp<std::int64_t>(ceil_div(items, per_block), 1, most));
}

/// As many blocks as run at once when `per_multiprocessor` fit on one, and no more than there is work.
inline unsigned resident_blocks(const Context& context, std::int64_t items, std::int64_t per_block,
                                int per_multiprocessor) {
  return blocks_for(items, per_block, std::int64_t{context.multiprocessors()} * per_multiprocessor);
}

}  // namespace caravan::cuda

/// After every <<<>>>: the launch's own error, not what the kernel does later.
#define CARAVAN_CUDA_LAUNCHED() CARAVAN_CUDA_CHECK(cudaGetLastError())
