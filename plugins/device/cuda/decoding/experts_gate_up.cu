#include <algorithm>

#include "plugins/device/cuda/decoding/decode_experts.hpp"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/kernels/rows.cuh"
#include "plugins/device/cuda/kernels/swiglu.cuh"
#include "plugins/device/cuda/products/streamed_rows.cuh"

// Gate, up and SwiGLU of few tokens. A tile is eight rows of a gate and the same of its up. Each block has an
// equal share of those of the shared expert, which need no other kernel, and then of those of all experts
// that rows have gone to.
namespace caravan::cuda {
namespace {

using namespace streamed;

constexpr int kTilePairs = kTileRows / 2;

struct Args {
  Rows<bf16> x, activated, shared_activated;
  Rows<float> w;
  const std::int32_t *offsets, *choice_of;
  const bf16 *routed, *shared;
  std::int64_t routed_row, routed_matrix, shared_row;
  int groups, rows, tokens, top_k, depth, hidden, shared_hidden;
};

template <int kTokens>
inline constexpr int kBlocks = kTokens <= 2 ? 2 : 1;

/// What a block keeps of the rows: their tokens, and what these are multiplied by.
struct Routed {
  GroupRows groups[kMostFewChoices];
  int token_of[kMostFewChoices];
  float weight_of[kMostFewChoices];
  int num_groups;
};

template <int kTokens>
struct Shared {
  static constexpr int kAhead = chunks_beside(2 * sizeof(Parts<kTokens>) + sizeof(Routed), kBlocks<kTokens>);
  typename Stream<kAhead>::Memory stream;
  Parts<kTokens> parts[2];
  Routed routed;
};

/// Pairs [first, end) of a group; group −1 is the shared expert.
struct Tile {
  int group = -1, first = 0, end = 0;
};

__device__ int tiles_of(int pairs) {
  return (pairs + kTilePairs - 1) / kTilePairs;
}

/// A block's share of pairs that groups of `hidden` have one after another, in tiles within groups.
struct Pairs {
  int begin = 0, end = 0, hidden = 1;

  __device__ Pairs(int groups, int hidden_)
      : begin(share_begin(groups * hidden_, static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x))),
        end(share_begin(groups * hidden_, static_cast<int>(blockIdx.x) + 1, static_cast<int>(gridDim.x))),
        hidden(max(hidden_, 1)) {}
  /// Where the group of the first pair ends, or the share.
  __device__ int first_end() const { return min(end, (begin / hidden + 1) * hidden); }
  __device__ int tiles() const {
    const int rest = end - first_end();
    return tiles_of(first_end() - begin) + rest / hidden * tiles_of(hidden) + tiles_of(rest % hidden);
  }
  __device__ Tile tile(int index) const {
    int from = begin, in_first = tiles_of(first_end() - begin);
    if (index >= in_first) {
      const int whole = tiles_of(hidden), group = (index - in_first) / whole;
      from = (begin / hidden + 1 + group) * hidden, index = (index - in_first) % whole;
    }
    const int first = from + index * kTilePairs, group = first / hidden;
    const int last = min(min(first + kTilePairs, (group + 1) * hidden), end);
    return {group, first - group * hidden, last - group * hidden};
  }
};

/// A block's tiles, those of the shared expert first, each in chunks.
class Share {
 public:
  __device__ explicit Share(const Args& args)
      : depth_(args.depth),
        chunks_(chunks_of(args.depth)),
        of_shared_(args.shared ? 1 : 0, args.shared_hidden),
        of_routed_(0, args.hidden),
        shared_tiles_(of_shared_.tiles()),
        tiles_(shared_tiles_) {}
  /// Once it is known which experts have rows.
  __device__ void add_routed(int groups) {
    of_routed_ = Pairs(groups, of_routed_.hidden);
    tiles_ = shared_tiles_ + of_routed_.tiles();
  }
  __device__ int depth() const { return depth_; }
  __device__ int chunks() const { return chunks_; }
  __device__ int tiles() const { return tiles_; }
  __device__ int shared_steps() const { return shared_tiles_ * chunks_; }
  __device__ Tile tile(int number) const {
    if (number >= shared_tiles_) return of_routed_.tile(number - shared_tiles_);
    const Tile tile = of_shared_.tile(number);
    return {-1, tile.first, tile.end};
  }

 private:
  int depth_, chunks_;
  Pairs of_shared_, of_routed_;
  int shared_tiles_, tiles_;
};

/// Where a block stands: a chunk of a tile, which is worked out once.
class Step {
 public:
  __device__ const Tile& tile(const Share& share) {
    if (known_ != number_) tile_ = share.tile(number_), known_ = number_;
    return tile_;
  }
  __device__ Asked asked(const Share& share) const {
    if (number_ >= share.tiles()) return {};
    return {chunk_ * kChunk, min(kChunk, share.depth() - chunk_ * kChunk)};
  }
  __device__ void next(const Share& share) {
    if (++chunk_ < share.chunks()) return;
    chunk_ = 0, ++number_;
  }
  __device__ int number() const { return number_; }
  __device__ bool ends_tile(const Share& share) const { return chunk_ == share.chunks() - 1; }

 private:
  int number_ = 0, chunk_ = 0, known_ = -1;
  Tile tile_;
};

__device__ void list_routed(const Args& args, Routed& routed) {
  if (threadIdx.x < kWarp) {
    const int count = list_groups(args.offsets, args.groups, args.rows, routed.groups);
    if (threadIdx.x == 0) routed.num_groups = count;
  }
  for (int row = static_cast<int>(threadIdx.x) - static_cast<int>(kWarp); row >= 0 && row < args.rows;
       row += kThreads - static_cast<int>(kWarp)) {
    const int choice = args.choice_of[row], token = choice / args.top_k;
    const bool exists = choice >= 0 && token < args.tokens;
    routed.token_of[row] = exists ? token : 0;
    routed.weight_of[row] = exists && args.w.data ? *args.w.at(token, choice - token * args.top_k) : 1.0f;
  }
  __syncthreads();
}

/// A token as its expert sees it: times the choice's weight, in the type of the token.
__device__ Eight scaled(Eight eight, float weight) {
  if (weight == 1) return eight;
#pragma unroll
  for (std::uint32_t& pair : eight.pair) {
    auto& two = reinterpret_cast<__nv_bfloat162&>(pair);
    const float2 wide = __bfloat1622float2(two);
    two = __floats2bfloat162_rn(wide.x * weight, wide.y * weight);
  }
  return eight;
}

template <int kTokens>
struct Tokens {
  Eight at[kTokens];
  float weight[kTokens];

  __device__ void read(const Args& args, const Routed& routed, const Share& share, Step& step) {
    const Asked asked = step.asked(share);
    const int group = asked.count > 0 ? step.tile(share).group : -1;
    const GroupRows rows = group < 0 ? GroupRows{0, 0, args.tokens} : routed.groups[group];
#pragma unroll
    for (int j = 0; j < kTokens; ++j) {
      const int row = rows.first + j * kTileTokens + Lane().group;
      const bool exists = row < rows.end;
      const int token = !exists ? 0 : group < 0 ? row : routed.token_of[row];
      weight[j] = exists && group >= 0 ? routed.weight_of[row] : 1.0f;
      at[j] = token_piece(exists ? args.x.at(token) : nullptr, asked);
    }
  }
};

template <int kTokens>
__device__ void store_tile(const Args& args, const Routed& routed, const Tile& tile,
                           const Parts<kTokens>& parts) {
  const bool is_shared = tile.group < 0;
  const GroupRows rows = is_shared ? GroupRows{0, 0, args.tokens} : routed.groups[tile.group];
  for (int at = static_cast<int>(threadIdx.x); at < kTokens * kTileTokens * kTilePairs; at += kThreads) {
    const int token = at / kTilePairs, pair = at % kTilePairs, row = rows.first + token,
              column = tile.first + pair;
    if (row >= rows.end || column >= tile.end) continue;
    const float gate = to_float(from_float<bf16>(parts.sum(Place::number(pair, token)))),
                up = to_float(from_float<bf16>(parts.sum(Place::number(pair + kTilePairs, token))));
    *(is_shared ? args.shared_activated : args.activated).at(row, column) =
        from_float<bf16>(swiglu(gate, up));
  }
}

/// Row r of a tile: of the gate, or of the up.
__device__ const bf16* row_of(const Args& args, const Routed& routed, const Tile& tile, int r) {
  const std::int64_t pair = tile.first + r % kTilePairs, half = r / kTilePairs;
  if (pair >= tile.end) return nullptr;
  if (tile.group < 0) return args.shared + (half * args.shared_hidden + pair) * args.shared_row;
  return args.routed + routed.groups[tile.group].group * args.routed_matrix +
         (half * args.hidden + pair) * args.routed_row;
}

template <int kTokens>
__global__ void __launch_bounds__(kThreads, kBlocks<kTokens>) gate_up_kernel(Args args) {
  extern __shared__ __align__(128) std::byte memory[];
  auto& shared = *reinterpret_cast<Shared<kTokens>*>(memory);
  constexpr int kAhead = Shared<kTokens>::kAhead;
  let_next_kernel_begin();
  Stream<kAhead> stream(shared.stream);
  Share share(args);
  Step asking, reading, now;
  const auto ask = [&] {
    if (threadIdx.x >= kWarp) return;
    const Asked asked = asking.asked(share);
    const Tile tile = asked.count > 0 ? asking.tile(share) : Tile{};
    stream.ask(asked, [&](int r) { return row_of(args, shared.routed, tile, r); });
    asking.next(share);
  };
  const int early = min(kAhead, share.shared_steps());
  for (int i = 0; i < early; ++i) ask();
  wait_for_kernel_before();
  list_routed(args, shared.routed);
  share.add_routed(shared.routed.num_groups);
  for (int i = early; i < kAhead; ++i) ask();

  Tokens<kTokens> tokens, after;
  float sums[kTokens][4]{};
  tokens.read(args, shared.routed, share, reading);
  for (; now.number() < share.tiles(); now = reading) {
    reading.next(share);
    after.read(args, shared.routed, share, reading);
    const WeightPiece weights(stream.next(), now.asked(share));
    const bool ends_tile = now.ends_tile(share);
    Parts<kTokens>& parts = shared.parts[now.number() % 2];
#pragma unroll
    for (int j = 0; j < kTokens; ++j) {
      weights.multiply(scaled(tokens.at[j], tokens.weight[j]), sums[j]);
      if (!ends_tile) continue;
      parts.put(j, sums[j]);
      for (float& sum : sums[j]) sum = 0;
    }
    tokens = after;
    __syncthreads();
    ask();
    if (ends_tile) store_tile<kTokens>(args, shared.routed, now.tile(share), parts);
  }
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
void launch(const Context& context, const FewExperts& e) {
  constexpr std::size_t kBytes = sizeof(Shared<kTokens>);
  const auto kernel = gate_up_kernel<kTokens>;
  CARAVAN_CUDA_CHECK(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(kBytes)));
  launch_following(kernel, dim3(static_cast<unsigned>(context.multiprocessors())), dim3(kThreads),
                   context.stream(), kBytes, args_of(e));
}

}  // namespace

void experts_gate_up(const Context& context, const FewExperts& e) {
  if (e.x.rows <= kTileTokens) return launch<1>(context, e);
  if (e.x.rows <= 2 * kTileTokens) return launch<2>(context, e);
  launch<4>(context, e);
}

}  // namespace caravan::cuda
