#include <algorithm>

#include "plugins/device/cuda/decoding/decode_experts.hpp"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/kernels/rows.cuh"
#include "plugins/device/cuda/kernels/swiglu.cuh"
#include "plugins/device/cuda/products/few_rows.cuh"

// Gate, up and SwiGLU of few tokens: a block has 16 rows of a gate and the same of its up, of the shared
// expert, which it need not wait for, or of one that rows have gone to.
namespace caravan::cuda {
namespace {

using namespace few;

struct Args {
  Rows<bf16> x, activated, shared_activated;
  Rows<float> w;
  const std::int32_t *offsets, *choice_of;
  const bf16 *routed, *shared;
  std::int64_t routed_row, routed_matrix, shared_row;
  int groups, rows, tokens, top_k, depth, hidden, shared_hidden;
};

/// The rows that a block has, and the weights that they meet.
struct Share {
  bool is_shared;
  int hidden;
  GroupRows rows;
  const bf16* weights;
  std::int64_t stride;
};

__device__ Share share_of(const Args& args, bool is_shared) {
  if (is_shared) return {true, args.shared_hidden, {0, 0, args.tokens}, args.shared, args.shared_row};
  const int which = static_cast<int>(blockIdx.y) - (args.shared ? 1 : 0);
  const GroupRows rows = nonempty_group(args.offsets, args.groups, args.rows, which);
  return {false, args.hidden, rows, args.routed + rows.group * args.routed_matrix, args.routed_row};
}

/// A row as its expert sees it: a token, times the choice's weight.
struct Token {
  const bf16* at = nullptr;
  float weight = 1;

  Token() = default;
  __device__ Token(const Args& args, const Share& share, int row) {
    if (share.is_shared) {
      at = args.x.at(row);
      return;
    }
    const int choice = max(0, min(args.choice_of[row], args.tokens * args.top_k - 1)),
              token = choice / args.top_k;
    at = args.x.at(token);
    if (args.w.data) weight = *args.w.at(token, choice - token * args.top_k);
  }
  __device__ Eight elements(int depth) const {
    Eight eight = eight_at(at + depth);
    if (weight == 1) return eight;
#pragma unroll
    for (std::uint32_t& pair : eight.pair) {
      auto& two = reinterpret_cast<__nv_bfloat162&>(pair);
      const float2 wide = __bfloat1622float2(two);
      two = __floats2bfloat162_rn(wide.x * weight, wide.y * weight);
    }
    return eight;
  }
};

template <int kTokens>
__device__ void store_activated(const Args& args, const Share& share, const Parts<2 * kTokens>& parts) {
  constexpr int kOfTile = kTokens * 4 * static_cast<int>(kWarp);
  for (int at = static_cast<int>(threadIdx.x); at < kOfTile; at += kThreads) {
    const Place place(at);
    const int row = share.rows.first + place.token,
              column = static_cast<int>(blockIdx.x) * kTileRows + place.row;
    if (row >= share.rows.end || column >= share.hidden) continue;
    const float gate = to_float(from_float<bf16>(parts.sum(at))),
                up = to_float(from_float<bf16>(parts.sum(at + kOfTile)));
    *(share.is_shared ? args.shared_activated : args.activated).at(row, column) =
        from_float<bf16>(swiglu(gate, up));
  }
}

template <int kTokens, class Ready>
__device__ void multiply_rows(const Args& args, const Share& share, const Ready& ready,
                              Parts<2 * kTokens>& parts) {
  const Lane lane;
  const bf16* weights[2][2];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int row = static_cast<int>(blockIdx.x) * kTileRows + lane.group + i % 2 * 8;
    weights[i / 2][i % 2] =
        share.weights + (i / 2 * share.hidden + min(row, share.hidden - 1)) * share.stride;
  }
  Sums<2, kTokens> sums{};
  Token tokens[kTokens];
  const auto find_tokens = [&] {
    ready();
#pragma unroll
    for (int j = 0; j < kTokens; ++j)
      tokens[j] =
          Token(args, share, min(share.rows.first + j * kTileTokens + lane.group, share.rows.end - 1));
  };
  multiply<2, kTokens>(weights, args.depth, sums, find_tokens,
                       [&](int j, int depth) { return tokens[j].elements(depth); });
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 2 * kTokens; ++i) parts.put(i, sums[i / kTokens][i % kTokens]);
  __syncthreads();
}

/// As many tokens at once as there are kTokens tiles.
template <int kTokens, class Ready>
__device__ void make_rows(const Args& args, Share share, const Ready& ready, std::byte* memory) {
  auto& parts = *reinterpret_cast<Parts<2 * kTokens>*>(memory);
  for (; share.rows.first < share.rows.end; share.rows.first += kTokens * kTileTokens) {
    multiply_rows<kTokens>(args, share, ready, parts);
    store_activated<kTokens>(args, share, parts);
  }
}

/// The shared expert has all tokens, a routed one mostly few of them.
template <int kTokens>
__global__ void __launch_bounds__(kThreads, 2) gate_up_kernel(Args args) {
  extern __shared__ __align__(16) std::byte memory[];
  let_next_kernel_begin();
  const bool is_shared = args.shared && blockIdx.y == 0;
  bool has_waited = !is_shared;
  if (has_waited) wait_for_kernel_before();
  const Share share = share_of(args, is_shared);
  if (static_cast<int>(blockIdx.x) * kTileRows >= share.hidden) return;
  const auto ready = [&] {
    if (!has_waited) wait_for_kernel_before();
    has_waited = true;
  };
  if (share.rows.end - share.rows.first <= kTileTokens) return make_rows<1>(args, share, ready, memory);
  make_rows<kTokens>(args, share, ready, memory);
}

Args args_of(const FewExperts& e) {
  return {Rows<bf16>(e.x),
          Rows<bf16>(e.activated),
          Rows<bf16>(e.shared_activated),
          Rows<float>(e.w),
          e.offsets,
          e.choice_of,
          static_cast<const bf16*>(e.gate_up.data),
          static_cast<const bf16*>(e.shared_gate_up.data),
          e.gate_up.row_stride,
          e.gate_up.matrix_stride,
          e.shared_gate_up.row_stride,
          static_cast<int>(e.gate_up.matrices),
          static_cast<int>(e.activated.rows),
          static_cast<int>(e.x.rows),
          static_cast<int>(e.row_of.columns),
          static_cast<int>(e.x.columns),
          static_cast<int>(e.activated.columns),
          static_cast<int>(e.shared_activated.columns)};
}

template <int kTokens>
void launch(const FewExperts& e, cudaStream_t stream) {
  const std::int64_t groups = std::min(e.gate_up.matrices, e.activated.rows) + (e.has_shared() ? 1 : 0),
                     hidden = std::max(e.activated.columns, e.shared_activated.columns);
  constexpr std::size_t kBytes = sizeof(Parts<2 * kTokens>);
  const auto kernel = gate_up_kernel<kTokens>;
  allow_shared(kernel, kBytes);
  launch_following(kernel, dim3(blocks_for(hidden, kTileRows), static_cast<unsigned>(groups)), dim3(kThreads),
                   stream, kBytes, args_of(e));
}

}  // namespace

void experts_gate_up(const FewExperts& e, cudaStream_t stream) {
  if (e.x.rows <= kTileTokens) return launch<1>(e, stream);
  if (e.x.rows <= 2 * kTileTokens) return launch<2>(e, stream);
  launch<4>(e, stream);
}

}  // namespace caravan::cuda
