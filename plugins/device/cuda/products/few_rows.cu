#include "plugins/device/cuda/products/few_rows.hpp"

#include <algorithm>

#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/products/few_rows.cuh"

namespace caravan::cuda {
namespace {

using namespace few;

/// kTiles·16 rows of weights a block and, with groups, one group of those that have rows. Which these are
/// another kernel says; one matrix is asked for while that is still at work.
template <class Y, int kTiles, int kTokens, bool kSwiglu, bool kChosen>
__device__ void make_block(const Args& args, const Out<Y>& out, int which, std::byte* memory) {
  const int rows = kSwiglu ? args.halves : args.columns;
  if (static_cast<int>(blockIdx.x) * kTileRows * (kSwiglu ? 1 : kTiles) >= rows) return;
  bool has_waited = args.offsets != nullptr;
  if (has_waited)
    wait_for_kernel_before();
  else
    ask_for_weights<kTiles>(args);
  const auto ready = [&] {
    if (!has_waited) wait_for_kernel_before();
    has_waited = true;
  };
  const Group group = args.offsets ? nonempty_group(args, which) : Group{0, args.rows, args.w};
  make_rows<Y, kTiles, kTokens, kSwiglu, kChosen>(args, out, group, ready, memory);
}

template <class Y, int kTiles, int kTokens, bool kSwiglu, bool kChosen>
__global__ void __launch_bounds__(kThreads, kBlocks<kTokens>) few_rows_kernel(Args args, Out<Y> out) {
  extern __shared__ __align__(16) std::byte memory[];
  let_next_kernel_begin();
  make_block<Y, kTiles, kTokens, kSwiglu, kChosen>(args, out, static_cast<int>(blockIdx.y), memory);
}

/// The first blocks in y have the product with one matrix, which need not wait.
template <int kTiles, bool kSwiglu>
__global__ void __launch_bounds__(kThreads, kBlocks<1>)
    few_rows_pair_kernel(Args one, Out<bf16> one_out, Args groups, Out<bf16> groups_out) {
  extern __shared__ __align__(16) std::byte memory[];
  let_next_kernel_begin();
  if (blockIdx.y == 0)
    make_block<bf16, kTiles, 1, kSwiglu, false>(one, one_out, 0, memory);
  else
    make_block<bf16, kTiles, 1, kSwiglu, kSwiglu>(groups, groups_out, static_cast<int>(blockIdx.y) - 1,
                                                  memory);
}

Args args_of(const FewRowsProduct& p) {
  return {Rows<bf16>(p.x),
          static_cast<const bf16*>(p.w.data),
          p.w.row_stride,
          p.w.matrix_stride,
          p.offsets,
          p.choice_of,
          Rows<float>(p.weights),
          static_cast<int>(p.w.matrices),
          static_cast<int>(p.y_rows()),
          static_cast<int>(p.w.rows),
          static_cast<int>(p.x.columns),
          static_cast<int>(p.x.rows),
          static_cast<int>(p.top_k),
          p.activated ? static_cast<int>(p.w.rows / 2) : 0};
}

template <class Y>
Out<Y> out_of(const FewRowsProduct& p) {
  return {Rows<Y>(p.y), Rows<Y>(p.addend), Rows<bf16>(p.activated)};
}

/// Blocks for the rows of weights, and for groups that can have rows.
template <int kTiles, bool kSwiglu>
dim3 grid_of(const FewRowsProduct& p) {
  const std::int64_t rows = kSwiglu ? p.w.rows / 2 : ceil_div(p.w.rows, kTiles);
  return dim3(blocks_for(rows, kTileRows),
              p.offsets ? static_cast<unsigned>(std::min(p.w.matrices, p.y_rows())) : 1u);
}

/// The memory of a block, which the kernel is allowed where it has to ask.
template <int kTiles, int kTokens, class Kernel>
std::size_t shared_of(Kernel kernel) {
  constexpr std::size_t kBytes = sizeof(Parts<kTiles, kTokens>);
  if constexpr (kBytes > 48 << 10)
    CARAVAN_CUDA_CHECK(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(kBytes)));
  return kBytes;
}

template <class Y, int kTiles, int kTokens, bool kSwiglu>
void launch(const Context& context, const FewRowsProduct& p) {
  const auto start = [&](auto kernel) {
    launch_following(kernel, grid_of<kTiles, kSwiglu>(p), dim3(kThreads), context.stream(),
                     shared_of<kTiles, kTokens>(kernel), args_of(p), out_of<Y>(p));
  };
  if (kSwiglu && p.choice_of) return start(few_rows_kernel<Y, kTiles, kTokens, kSwiglu, kSwiglu>);
  start(few_rows_kernel<Y, kTiles, kTokens, kSwiglu, false>);
}

template <int kTiles, bool kSwiglu>
void launch_pair(const Context& context, const FewRowsProduct& one, const FewRowsProduct& groups) {
  const auto kernel = few_rows_pair_kernel<kTiles, kSwiglu>;
  const dim3 first = grid_of<kTiles, kSwiglu>(one), second = grid_of<kTiles, kSwiglu>(groups);
  launch_following(kernel, dim3(std::max(first.x, second.x), 1 + second.y), dim3(kThreads), context.stream(),
                   shared_of<kTiles, 1>(kernel), args_of(one), out_of<bf16>(one), args_of(groups),
                   out_of<bf16>(groups));
}

/// Tokens beside each other that a block takes at once. Of a group there are mostly eight or less.
template <class Y, int kTiles, bool kSwiglu>
void launch_for_tokens(const Context& context, const FewRowsProduct& p) {
  const std::int64_t tiles = p.offsets ? 1 : ceil_div(p.y_rows(), kTileTokens);
  if (tiles <= 1) return launch<Y, kTiles, 1, kSwiglu>(context, p);
  if (tiles <= 2) return launch<Y, kTiles, 2, kSwiglu>(context, p);
  launch<Y, kTiles, 4, kSwiglu>(context, p);
}

}  // namespace

bool is_of_few_rows(const FewRowsProduct& p) {
  const Matrix weights{p.w.data, p.w.dtype, p.w.rows, p.w.columns, p.w.row_stride};
  return p.x.dtype == DType::bf16 && p.x.rows > 0 && p.x.rows <= kMostFewRows && p.w.rows > 0 &&
         p.x.columns > 0 && p.w.matrix_stride % 8 == 0 && rows_of_16_bytes({p.x, weights});
}

OperatorPath few_rows_path() {
  return {"own kernel", "few rows"};
}

/// Many tokens of one matrix want other blocks than the few of each group.
void few_rows_products(const Context& context, const FewRowsProduct& one, const FewRowsProduct& groups) {
  if (one.y_rows() > kTileTokens) {
    few_rows_product(context, one);
    return few_rows_product(context, groups);
  }
  if (one.activated) return launch_pair<2, true>(context, one, groups);
  launch_pair<1, false>(context, one, groups);
}

void few_rows_product(const Context& context, const FewRowsProduct& p) {
  if (p.activated) return launch_for_tokens<bf16, 2, true>(context, p);
  // Tokens are read anew for each block: many of them are worth more rows of weights.
  const bool many =
      !p.offsets && p.x.rows > kTileTokens && p.w.rows >= 2 * kTileRows * context.multiprocessors() * 3 / 4;
  with_type(p.y.dtype, [&]<class Y>() {
    if (many)
      launch_for_tokens<Y, 2, false>(context, p);
    else
      launch_for_tokens<Y, 1, false>(context, p);
  });
}

}  // namespace caravan::cuda
