#include "plugins/device/cuda/products/few_rows.hpp"

#include <algorithm>

#include "plugins/device/cuda/kernels/follow.cuh"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/kernels/narrow_fragments.cuh"
#include "plugins/device/cuda/kernels/rows.cuh"
#include "plugins/device/cuda/kernels/swiglu.cuh"

namespace caravan::cuda {
namespace {

/// Warps of a block share the depth: as many as have all of it under way at once where it is some 4,000.
constexpr int kWarps = 16, kThreads = kWarps * static_cast<int>(kWarp);
constexpr int kStep = 32, kStepOfBlock = kWarps * kStep;
constexpr int kTileRows = 16, kTileTokens = 8;

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

/// Rows [first, end) of x, and the weights that they meet.
struct Group {
  int first = 0, end = 0;
  const bf16* w = nullptr;
};

/// The group with rows that `which` others with rows are before; without rows where there is none. All lanes
/// of a warp.
__device__ Group nonempty_group(const Args& args, int which) {
  for (int begin = 0; begin < args.groups; begin += static_cast<int>(kWarp)) {
    const int group = begin + static_cast<int>(threadIdx.x % kWarp);
    const bool has_rows = group < args.groups && args.offsets[group + 1] > args.offsets[group];
    const unsigned mask = __ballot_sync(kWholeWarp, has_rows);
    if (which < __popc(mask)) {
      const int found = begin + static_cast<int>(__fns(mask, 0, which + 1));
      return {args.offsets[found], min(args.offsets[found + 1], args.rows),
              args.w + found * args.group_stride};
    }
    which -= __popc(mask);
  }
  return {};
}

/// The row of weights of this block's tile `tile`, on this lane's low half.
template <int kTiles>
__device__ int row_of_tile(const Args& args, int tile) {
  const int first = static_cast<int>(blockIdx.x) * kTileRows;
  if (args.halves > 0) return first + tile * args.halves;
  return first * kTiles + tile * kTileRows;
}

template <int kTiles, int kTokens>
using Sums = float[kTiles][kTokens][4];

/// This warp's part of the depth of kTiles·16 rows of weights and kTokens·8 tokens.
template <int kTiles, int kTokens>
__device__ void multiply(const Args& args, const Group& group, int first_token, Sums<kTiles, kTokens>& sums) {
  constexpr int kUnroll = kTiles == 1 ? 8 : 4;
  const Lane lane;
  const bf16 *weights[kTiles][2], *tokens[kTokens];
#pragma unroll
  for (int i = 0; i < 2 * kTiles; ++i) {
    const int row = min(row_of_tile<kTiles>(args, i / 2) + lane.group + i % 2 * 8, args.columns - 1);
    weights[i / 2][i % 2] = group.w + row * args.row_stride;
  }
#pragma unroll
  for (int j = 0; j < kTokens; ++j)
    tokens[j] = args.x.at(min(first_token + j * kTileTokens + lane.group, group.end - 1));
  // As often on every lane, because a product is a whole warp's.
  const int first = static_cast<int>(threadIdx.x / kWarp) * kStep + 8 * lane.member;
  for (int begin = first; begin - 8 * lane.member < args.depth; begin += kUnroll * kStepOfBlock) {
    Eight w[kUnroll][kTiles][2];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int depth = begin + u * kStepOfBlock;
#pragma unroll
      for (int i = 0; i < 2 * kTiles; ++i)
        w[u][i / 2][i % 2] = depth < args.depth ? eight_at(weights[i / 2][i % 2] + depth) : Eight{};
    }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int depth = begin + u * kStepOfBlock;
#pragma unroll
      for (int j = 0; j < kTokens; ++j) {
        const Eight x = depth < args.depth ? eight_at(tokens[j] + depth) : Eight{};
#pragma unroll
        for (int i = 0; i < 2 * kTiles; ++i) {
          const int tile = i / 2, half = i % 2;
          const std::uint32_t a[4] = {w[u][tile][0].pair[2 * half], w[u][tile][1].pair[2 * half],
                                      w[u][tile][0].pair[2 * half + 1], w[u][tile][1].pair[2 * half + 1]};
          multiply_add(sums[tile][j], a, x.pair[2 * half], x.pair[2 * half + 1]);
        }
      }
    }
  }
}

/// Where number `at` of a tile's sums goes: sums of a lane lie 32 apart.
struct Place {
  int row, token;
  __device__ explicit Place(int at) {
    const int lane = at % static_cast<int>(kWarp), element = at / static_cast<int>(kWarp) % 4,
              j = at / (4 * static_cast<int>(kWarp));
    row = lane / 4 + element / 2 * 8;
    token = j * kTileTokens + 2 * (lane % 4) + element % 2;
  }
};

/// The parts of all warps, in their order.
template <int kTiles, int kTokens>
struct Parts {
  static constexpr int kOfTile = kTokens * 4 * static_cast<int>(kWarp);
  float at[kWarps][kTiles * kOfTile];

  __device__ void put(const Sums<kTiles, kTokens>& sums) {
    const int warp = static_cast<int>(threadIdx.x / kWarp), lane = static_cast<int>(threadIdx.x % kWarp);
#pragma unroll
    for (int i = 0; i < kTiles * kTokens * 4; ++i)
      at[warp][i * static_cast<int>(kWarp) + lane] = sums[i / (4 * kTokens)][i / 4 % kTokens][i % 4];
  }
  __device__ float sum(int index) const {
    float total = at[0][index];
#pragma unroll
    for (int warp = 1; warp < kWarps; ++warp) total += at[warp][index];
    return total;
  }
};

template <class Y>
__device__ Y store_sum(const Out<Y>& out, int token, int column, float sum) {
  if (out.addend.data) sum += to_float(*out.addend.at(token, column));
  return *out.y.at(token, column) = from_float<Y>(sum);
}

template <class Y, int kTiles, int kTokens>
__device__ void store_tokens(const Args& args, const Out<Y>& out, const Group& group, int first_token,
                             const Parts<kTiles, kTokens>& parts) {
  constexpr int kOfTile = Parts<kTiles, kTokens>::kOfTile;
  for (int at = static_cast<int>(threadIdx.x); at < kTiles * kOfTile; at += kThreads) {
    const Place place(at % kOfTile);
    const int token = first_token + place.token, column = row_of_tile<kTiles>(args, at / kOfTile) + place.row;
    if (token < group.end && column < args.columns) store_sum(out, token, column, parts.sum(at));
  }
}

/// SwiGLU of numbers as they are stored.
template <int kTokens>
__device__ void store_activated(const Args& args, const Out<bf16>& out, const Group& group, int first_token,
                                const Parts<2, kTokens>& parts) {
  constexpr int kOfTile = Parts<2, kTokens>::kOfTile;
  for (int at = static_cast<int>(threadIdx.x); at < kOfTile; at += kThreads) {
    const Place place(at);
    const int token = first_token + place.token, column = row_of_tile<2>(args, 0) + place.row;
    if (token >= group.end || column >= args.halves) continue;
    const bf16 gate = store_sum(out, token, column, parts.sum(at)),
               up = store_sum(out, token, column + args.halves, parts.sum(at + kOfTile));
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

/// kTiles·16 rows of weights a block and, with groups, one group of those that have rows.
template <class Y, int kTiles, int kTokens, bool kSwiglu>
__global__ void __launch_bounds__(kThreads) few_rows_kernel(Args args, Out<Y> out) {
  extern __shared__ __align__(16) std::byte memory[];
  auto& parts = *reinterpret_cast<Parts<kTiles, kTokens>*>(memory);
  let_next_kernel_begin();
  if (args.offsets == nullptr) ask_for_weights<kTiles>(args);
  wait_for_kernel_before();
  const Group group =
      args.offsets ? nonempty_group(args, static_cast<int>(blockIdx.y)) : Group{0, args.rows, args.w};
  for (int token = group.first; token < group.end; token += kTokens * kTileTokens) {
    Sums<kTiles, kTokens> sums{};
    multiply<kTiles, kTokens>(args, group, token, sums);
    __syncthreads();
    parts.put(sums);
    __syncthreads();
    if constexpr (kSwiglu)
      store_activated<kTokens>(args, out, group, token, parts);
    else
      store_tokens<Y, kTiles, kTokens>(args, out, group, token, parts);
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
  constexpr auto kBytes = static_cast<int>(sizeof(Parts<kTiles, kTokens>));
  const auto kernel = few_rows_kernel<Y, kTiles, kTokens, kSwiglu>;
  if constexpr (kBytes > 48 << 10)
    CARAVAN_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
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
  if (!p.offsets) return streamed_linear(context, p);
  with_type(p.y.dtype, [&]<class Y>() { launch_for_tokens<Y, 1, false>(context, p); });
}

}  // namespace caravan::cuda
