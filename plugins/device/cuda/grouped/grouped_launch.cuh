#pragma once

#include <algorithm>

#include "plugins/device/cuda/grouped/grouped_gemm.cuh"
#include "plugins/device/cuda/kernels/launch.hpp"

// The launch of a grouped product.
namespace caravan::cuda {

/// No more blocks than tiles there can be: each group adds at most one that is not full.
template <class R>
std::int64_t most_tiles(const GroupedCall& call) {
  const std::int64_t columns = ceil_div(call.columns, R::kOutColumns);
  const std::int64_t rows = R::kOfRows ? ceil_div(call.rows, R::kTileRows) + call.groups
                                       : ceil_div(call.out_rows, R::kTileRows) * call.groups;
  return columns * rows;
}

template <class R>
void launch(Context& context, const GroupedMaps& maps, const GroupedCall& call) {
  static const cudaError_t prepared = cudaFuncSetAttribute(
      grouped_gemm_kernel<R>, cudaFuncAttributeMaxDynamicSharedMemorySize, R::kSharedBytes);
  CARAVAN_CUDA_CHECK(prepared);
  const int blocks = static_cast<int>(std::min<std::int64_t>(context.multiprocessors(), most_tiles<R>(call)));
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {R::kCluster, 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = {static_cast<unsigned>(ceil_div(blocks, R::kCluster) * R::kCluster), 1, 1};
  config.blockDim = {kGemmThreads, 1, 1};
  config.dynamicSmemBytes = R::kSharedBytes;
  config.stream = context.stream();
  config.attrs = &cluster;
  config.numAttrs = 1;
  CARAVAN_CUDA_CHECK(cudaLaunchKernelEx(&config, grouped_gemm_kernel<R>, maps, call));
}

}  // namespace caravan::cuda
