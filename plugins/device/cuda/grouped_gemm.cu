#include "grouped_gemm.cuh"

#include <algorithm>

#include "grouped_gemm.hpp"
#include "launch.hpp"

namespace caravan::cuda {
namespace {

using hopper::Major;

template <int kCluster>
using Forward = Recipe<Product::rows, Major::depth, kCluster, 4, 4096>;
template <int kCluster>
using BackwardInput = Recipe<Product::rows, Major::outputs, kCluster, 4, 4096>;
/// A stage less, for four boxes of results on their way while the next tile begins.
template <int kCluster>
using BackwardWeight = Recipe<Product::weights, Major::outputs, kCluster, 3, 8192>;

/// Tensor maps with the boxes that load_rows, load_weights and add_f32 ask for.
template <class R>
GroupedMaps maps_of(const TensorMaps& maps, const GroupedOperands& operands, const GroupedCall& call) {
  GroupedMaps result{};
  result.a = maps.boxes(operands.a, 64, R::kOfRows ? kTileRows / R::kCluster : kTileDepth);
  result.b = maps.boxes(operands.b, 64, R::kMajorB == Major::depth ? kTileColumns : kTileDepth);
  if (!R::kOfRows) {
    const MappedTensor out{call.out,    DType::f32,      call.columns,  call.out_rows,
                           call.groups, call.out_stride, call.out_group};
    result.out = maps.boxes(out, 32, 16);
  }
  return result;
}

/// No more blocks than tiles there can be: each group adds at most one that is not full.
template <class R>
std::int64_t most_tiles(const GroupedCall& call) {
  const std::int64_t columns = ceil_div(call.columns, kTileColumns);
  const std::int64_t rows = R::kOfRows ? ceil_div(call.rows, kTileRows) + call.groups
                                       : ceil_div(call.out_rows, kTileRows) * call.groups;
  return columns * rows;
}

template <class R>
void launch(Context& context, const GroupedOperands& operands, const GroupedCall& call) {
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
  CARAVAN_CUDA_CHECK(cudaLaunchKernelEx(&config, grouped_gemm_kernel<R>,
                                        maps_of<R>(context.keep<TensorMaps>(), operands, call), call));
}

template <template <int> class R>
void launch(Context& context, const GroupedOperands& operands, const GroupedCall& call, Cluster cluster) {
  if (cluster == Cluster::pair) return launch<R<2>>(context, operands, call);
  launch<R<1>>(context, operands, call);
}

bool fits_output(const GroupedCall& call, Product product) {
  const bool starts = reinterpret_cast<std::uintptr_t>(call.out) % 16 == 0;
  if (product == Product::weights) return starts && call.out_stride % 4 == 0 && call.out_group % 4 == 0;
  return starts &&
         (call.out_f32 ? call.out_stride % 2 == 0 && call.columns % 2 == 0 : call.out_stride % 8 == 0);
}

}  // namespace

bool fits_tensor_cores(const GroupedOperands& operands, const GroupedCall& call, Product product) {
  return operands.a.dtype == DType::bf16 && fits_copy_engine(operands.a) && fits_copy_engine(operands.b) &&
         fits_output(call, product);
}

void grouped_gemm(Context& context, const GroupedOperands& operands, const GroupedCall& call, Product product,
                  Cluster cluster) {
  if (product == Product::weights) return launch<BackwardWeight>(context, operands, call, cluster);
  if (operands.b_depth_adjacent) return launch<Forward>(context, operands, call, cluster);
  launch<BackwardInput>(context, operands, call, cluster);
}

}  // namespace caravan::cuda
