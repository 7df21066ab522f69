#include "plugins/device/cuda/products/few_rows.hpp"

#include <algorithm>

#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/kernels/rows.cuh"
#include "plugins/device/cuda/kernels/swiglu.cuh"
#include "plugins/device/cuda/products/few_rows.cuh"

namespace caravan::cuda {
namespace {

using namespace few;

struct Args {
  Rows<bf16> x;
  const bf16* w;
  std::int64_t row_stride, group_stride;
  const std::int32_t* offsets;
  int groups, rows, columns, depth;
  int halves;  ///< rows of weights between a gate and its up; 0: there are none
};

template <class Y>
struct Out {
  Rows<Y> y, addend;
  Rows<bf16> activated;
};

/// The row of weights of this block's tile `tile`, on this lane's low half.
template <int kTiles>
__device__ int row_of_tile(const Args& args, int tile) {
  const int first = static_cast<int>(blockIdx.x) * kTileRows;
  if (args.halves > 0) return first + tile * args.halves;
  return first * kTiles + tile * kTileRows;
}

/// This block's product of the tokens [first, end) of a group, as far as they fit; ready() says which.
template <int kTiles, int kTokens, class Ready>
__device__ void multiply_tokens(const Args& args, const bf16* w, const Ready& ready,
                                Parts<kTiles * kTokens>& parts) {
  const Lane lane;
  const bf16 *weights[kTiles][2], *tokens[kTokens];
#pragma unroll
  for (int i = 0; i < 2 * kTiles; ++i) {
    const int row = min(row_of_tile<kTiles>(args, i / 2) + lane.group + i % 2 * 8, args.columns - 1);
    weights[i / 2][i % 2] = w + row * args.row_stride;
  }
  Sums<kTiles, kTokens> sums{};
  const auto find_tokens = [&] {
    const GroupRows now = ready();
#pragma unroll
    for (int j = 0; j < kTokens; ++j)
      tokens[j] = args.x.at(min(now.first + j * kTileTokens + lane.group, now.end - 1));
  };
  multiply<kTiles, kTokens>(weights, args.depth, sums, find_tokens,
                            [&](int j, int depth) { return eight_at(tokens[j] + depth); });
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kTiles * kTokens; ++i) parts.put(i, sums[i / kTokens][i % kTokens]);
  __syncthreads();
}

template <class Y>
__device__ Y store_sum(const Out<Y>& out, int token, int column, float sum) {
  if (out.addend.data) sum += to_float(*out.addend.at(token, column));
  return *out.y.at(token, column) = from_float<Y>(sum);
}

/// Sums of a tile of weights: kTokens tiles of tokens.
template <int kTokens>
inline constexpr int kOfTile = kTokens * 4 * static_cast<int>(kWarp);

template <int kTiles, int kTokens, class Y>
__device__ void store_tokens(const Args& args, const Out<Y>& out, const GroupRows& group,
                             const Parts<kTiles * kTokens>& parts) {
  for (int at = static_cast<int>(threadIdx.x); at < kTiles * kOfTile<kTokens>; at += kThreads) {
    const Place place(at % kOfTile<kTokens>);
    const int token = group.first + place.token,
              column = row_of_tile<kTiles>(args, at / kOfTile<kTokens>) + place.row;
    if (token < group.end && column < args.columns) store_sum(out, token, column, parts.sum(at));
  }
}

/// SwiGLU of numbers as they are stored.
template <int kTokens>
__device__ void store_activated(const Args& args, const Out<bf16>& out, const GroupRows& group,
                                const Parts<2 * kTokens>& parts) {
  for (int at = static_cast<int>(threadIdx.x); at < kOfTile<kTokens>; at += kThreads) {
    const Place place(at);
    const int token = group.first + place.token, column = row_of_tile<2>(args, 0) + place.row;
    if (token >= group.end || column >= args.halves) continue;
    const bf16 gate = store_sum(out, token, column, parts.sum(at)),
               up = store_sum(out, token, column + args.halves, parts.sum(at + kOfTile<kTokens>));
    *out.activated.at(token, column) = from_float<bf16>(swiglu(to_float(gate), to_float(up)));
  }
}

/// A warp has the weights of this block brought near, where they lie in one piece.
template <int kTiles>
__device__ void ask_for_weights(const Args& args) {
  const int tile = static_cast<int>(threadIdx.x);
  if (tile >= kTiles || args.row_stride != args.depth) return;
  const int row = row_of_tile<kTiles>(args, tile), rows = min(kTileRows, args.columns - row);
  if (rows > 0)
    ask_for(args.w + row * args.row_stride,
            static_cast<unsigned>(rows * args.depth) * unsigned{sizeof(bf16)});
}

/// kTiles·16 rows of weights a block and, with groups, one group of those that have rows. Which these are
/// another kernel says; one matrix is read while that is still at work.
template <class Y, int kTiles, int kTokens, bool kSwiglu>
__global__ void __launch_bounds__(kThreads, 2) few_rows_kernel(Args args, Out<Y> out) {
  extern __shared__ __align__(16) std::byte memory[];
  auto& parts = *reinterpret_cast<Parts<kTiles * kTokens>*>(memory);
  let_next_kernel_begin();
  bool has_waited = args.offsets != nullptr;
  if (has_waited)
    wait_for_kernel_before();
  else
    ask_for_weights<kTiles>(args);
  GroupRows group{0, 0, args.rows};
  if (args.offsets)
    group = nonempty_group(args.offsets, args.groups, args.rows, static_cast<int>(blockIdx.y));
  const bf16* const w = args.w + group.group * args.group_stride;
  for (; group.first < group.end; group.first += kTokens * kTileTokens) {
    const auto ready = [&] {
      if (!has_waited) wait_for_kernel_before();
      has_waited = true;
      return group;
    };
    multiply_tokens<kTiles, kTokens>(args, w, ready, parts);
    if constexpr (kSwiglu)
      store_activated<kTokens>(args, out, group, parts);
    else
      store_tokens<kTiles, kTokens>(args, out, group, parts);
  }
}

Args args_of(const FewRowsProduct& p) {
  return {Rows<bf16>(p.x),
          static_cast<const bf16*>(p.w.data),
          p.w.row_stride,
          p.w.matrix_stride,
          p.offsets,
          static_cast<int>(p.w.matrices),
          static_cast<int>(p.x.rows),
          static_cast<int>(p.w.rows),
          static_cast<int>(p.x.columns),
          p.activated ? static_cast<int>(p.w.rows / 2) : 0};
}

template <class Y, int kTiles, int kTokens, bool kSwiglu>
void launch(const Context& context, const FewRowsProduct& p) {
  const std::int64_t rows = kSwiglu ? p.w.rows / 2 : ceil_div(p.w.rows, kTiles);
  const dim3 grid(blocks_for(rows, kTileRows),
                  p.offsets ? static_cast<unsigned>(std::min(p.w.matrices, p.x.rows)) : 1u);
  constexpr std::size_t kBytes = sizeof(Parts<kTiles * kTokens>);
  const auto kernel = few_rows_kernel<Y, kTiles, kTokens, kSwiglu>;
  allow_shared(kernel, kBytes);
  launch_following(kernel, grid, dim3(kThreads), context.stream(), kBytes, args_of(p),
                   Out<Y>{Rows<Y>(p.y), Rows<Y>(p.addend), Rows<bf16>(p.activated)});
}

/// Tokens beside each other that a block takes at once: those of a group are hardly ever all.
template <class Y, int kTiles, bool kSwiglu>
void launch_for_tokens(const Context& context, const FewRowsProduct& p) {
  const std::int64_t tiles = ceil_div(p.offsets ? ceil_div(p.x.rows, 2) : p.x.rows, kTileTokens);
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

void few_rows_product(const Context& context, const FewRowsProduct& p) {
  if (p.activated) return launch_for_tokens<bf16, 2, true>(context, p);
  // Tokens are read anew for each block: many of them are worth more rows of weights.
  const bool many =
      !p.offsets && p.x.rows > kTileTokens && p.w.rows >= 2 * kTileRows * context.multiprocessors();
  with_type(p.y.dtype, [&]<class Y>() {
    if (many)
      launch_for_tokens<Y, 2, false>(context, p);
    else
      launch_for_tokens<Y, 1, false>(context, p);
  });
}

}  // namespace caravan::cuda
