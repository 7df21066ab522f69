#pragma once

#include <algorithm>

#include "plugins/device/cuda/grouped/grouped_gemm.cuh"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/kernels/ticket.hpp"

// The launch of a grouped product.
namespace caravan::cuda {

/// Units of work that there can be at most: each group adds one that is not full.
template <class R>
std::int64_t most_units(const GroupedCall& call) {
  constexpr bool kDown = R::kShared == Shared::b;
  const std::int64_t columns = ceil_div(call.columns, R::kOutColumns * (kDown ? 1 : R::kCluster)),
                     tall = R::kTileRows * (kDown ? R::kCluster : 1);
  const std::int64_t rows =
      R::kOfRows ? ceil_div(call.rows, tall) + call.groups : ceil_div(call.out_rows, tall) * call.groups;
  return columns * rows;
}

template <class R>
void launch(Context& context, const GroupedMaps& maps, GroupedCall call) {
  static const cudaError_t prepared = cudaFuncSetAttribute(
      grouped_gemm_kernel<R>, cudaFuncAttributeMaxDynamicSharedMemorySize, R::kSharedBytes);
  CARAVAN_CUDA_CHECK(prepared);
  call.claimed = context.keep<Ticket>().claimed();
  const std::int64_t clusters =
      std::min<std::int64_t>(context.multiprocessors() / R::kCluster, most_units<R>(call));
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {R::kCluster, 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = {static_cast<unsigned>(clusters * R::kCluster), 1, 1};
  config.blockDim = {kGemmThreads, 1, 1};
  config.dynamicSmemBytes = R::kSharedBytes;
  config.stream = context.stream();
  config.attrs = &cluster;
  config.numAttrs = 1;
  CARAVAN_CUDA_CHECK(cudaLaunchKernelEx(&config, grouped_gemm_kernel<R>, maps, call));
}

}  // namespace caravan::cuda
