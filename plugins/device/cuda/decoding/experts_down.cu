#include "plugins/device/cuda/decoding/decode_experts.hpp"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/kernels/rows.cuh"
#include "plugins/device/cuda/products/streamed_rows.cuh"

// Down projections of few tokens, and their sum. A tile is 16 columns of y; for it a block goes through the
// shared expert, whose weights need no other kernel, and all experts that rows have gone to, as if their
// depths were one. Which warp adds what of an expert's depth depends on nothing else, so that y does not
// depend on the other tokens.
namespace caravan::cuda {
namespace {

using namespace streamed;

struct Args {
  Rows<bf16> activated, shared_activated, base, y;
  Rows<float> v;
  Rows<std::int32_t> row_of;
  const std::int32_t* offsets;
  const bf16 *routed, *shared;
  std::int64_t routed_row, routed_matrix, shared_row;
  int groups, rows, tokens, top_k, columns, hidden, shared_hidden;
};

/// Whether there is room for the next kernel's block, too.
template <int kTokens, int kRows>
inline constexpr int kBlocks = kTokens + kRows <= 4 ? 2 : 1;

template <int kTokens, int kRows>
struct Shared {
  using AllParts = Parts<kTokens + kRows>;
  static constexpr std::size_t kOthers =
      sizeof(AllParts) + AllParts::kCount * sizeof(float) + (kMostFewChoices + 1) * sizeof(GroupRows);
  static constexpr int kAhead = chunks_beside(kOthers, kBlocks<kTokens, kRows>);
  typename Stream<kAhead>::Memory stream;
  AllParts parts;
  float totals[AllParts::kCount];
  GroupRows groups[kMostFewChoices];
  int num_groups;
};

/// A block's tiles; each goes through the chunks of the shared expert and then of each group.
class Share {
 public:
  __device__ explicit Share(const Args& args)
      : hidden_(args.hidden),
        shared_hidden_(args.shared_hidden),
        chunks_(chunks_of(args.hidden)),
        shared_chunks_(args.shared ? chunks_of(args.shared_hidden) : 0),
        first_(share_begin(args.columns, static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x))),
        end_(share_begin(args.columns, static_cast<int>(blockIdx.x) + 1, static_cast<int>(gridDim.x))) {}
  __device__ void add_routed(int groups) { groups_ = groups; }
  /// Steps that no other kernel decides.
  __device__ int early() const { return shared_chunks_; }
  __device__ int tiles() const { return (end_ - first_ + kTileRows - 1) / kTileRows; }
  __device__ int first_group() const { return shared_chunks_ > 0 ? -1 : 0; }
  __device__ int groups() const { return groups_; }
  __device__ int chunks(int group) const {
    return group < 0 ? shared_chunks_ : group < groups_ ? chunks_ : 1;
  }
  __device__ int depth(int group) const { return group < 0 ? shared_hidden_ : group < groups_ ? hidden_ : 0; }
  __device__ int column(int tile, int row) const { return first_ + tile * kTileRows + row; }
  __device__ int end() const { return end_; }

 private:
  int hidden_, shared_hidden_, chunks_, shared_chunks_, first_, end_, groups_ = 1;
};

/// Where a block stands. A tile for which there is nothing to add has one step without depth.
struct Step {
  int tile = 0, group, chunk = 0;

  __device__ explicit Step(const Share& share) : group(share.first_group()) {}
  __device__ Asked asked(const Share& share) const {
    if (tile >= share.tiles()) return {};
    return {chunk * kChunk, min(kChunk, share.depth(group) - chunk * kChunk)};
  }
  __device__ bool ends_tile(const Share& share) const {
    return group >= share.groups() - 1 && chunk == share.chunks(group) - 1;
  }
  __device__ void next(const Share& share) {
    const bool ends = ends_tile(share);
    if (++chunk < share.chunks(group)) return;
    chunk = 0, ++group;
    if (ends) group = share.first_group(), ++tile;
  }
};

/// What a lane needs of the tokens of the shared expert, or of the rows of a group.
template <int kTokens, int kRows>
struct Tokens {
  static constexpr int kTiles = kTokens > kRows ? kTokens : kRows;
  Eight at[kTiles];

  __device__ void read(const Args& args, const Shared<kTokens, kRows>& shared, const Share& share,
                       const Step& step) {
    const Asked asked = step.asked(share);
    const int group = asked.count > 0 ? step.group : -1;
    const GroupRows rows = group < 0 ? GroupRows{0, 0, args.tokens} : shared.groups[group];
#pragma unroll
    for (int j = 0; j < kTiles; ++j) {
      const int row = j * kTileTokens + Lane().group;
      const bool exists = row >= rows.first && row < rows.end;
      const bf16* const from = group < 0 ? args.shared_activated.at(row) : args.activated.at(row);
      at[j] = token_piece(exists ? from : nullptr, asked);
    }
  }
};

/// Sums of the shared expert's tokens, then of all rows.
template <int kTokens, int kRows>
struct Totals {
  float at[kTokens + kRows][4]{};

  __device__ void add(const WeightPiece& weights, const Tokens<kTokens, kRows>& tokens, int group,
                      const GroupRows& rows) {
    if (group < 0) {
#pragma unroll
      for (int j = 0; j < kTokens; ++j) weights.multiply(tokens.at[j], at[j]);
      return;
    }
#pragma unroll
    for (int j = 0; j < kRows; ++j)
      if (rows.first < (j + 1) * kTileTokens && rows.end > j * kTileTokens)
        weights.multiply(tokens.at[j], at[kTokens + j]);
  }
  __device__ void put(Parts<kTokens + kRows>& parts) {
#pragma unroll
    for (int j = 0; j < kTokens + kRows; ++j) {
      parts.put(j, at[j]);
      for (float& sum : at[j]) sum = 0;
    }
  }
};

/// y = base + shared + Σ_k v·routed of the columns of a tile.
template <int kTokens, int kRows>
__device__ void store_tile(const Args& args, const Share& share, int tile, Shared<kTokens, kRows>& shared) {
  constexpr int kOfTile = Parts<1>::kCount;
  for (int at = static_cast<int>(threadIdx.x); at < (kTokens + kRows) * kOfTile; at += kThreads)
    shared.totals[at] = shared.parts.sum(at);
  __syncthreads();
  for (int at = static_cast<int>(threadIdx.x); at < args.tokens * kTileRows; at += kThreads) {
    const int token = at / kTileRows, row = at % kTileRows, column = share.column(tile, row);
    if (column >= share.end()) continue;
    float sum = args.base.data ? to_float(*args.base.at(token, column)) : 0.0f;
    if (args.shared) sum += shared.totals[Place::number(row, token)];
    for (int k = 0; k < args.top_k; ++k) {
      const int of = *args.row_of.at(token, k);
      if (of < 0 || of >= kRows * kTileTokens) continue;
      const float v = args.v.data ? *args.v.at(token, k) : 1.0f;
      sum += v * shared.totals[kTokens * kOfTile + Place::number(row, of)];
    }
    *args.y.at(token, column) = from_float<bf16>(sum);
  }
}

template <int kTokens, int kRows>
__global__ void __launch_bounds__(kThreads, kBlocks<kTokens, kRows>) down_kernel(Args args) {
  extern __shared__ __align__(128) std::byte memory[];
  auto& shared = *reinterpret_cast<Shared<kTokens, kRows>*>(memory);
  constexpr int kAhead = Shared<kTokens, kRows>::kAhead;
  let_next_kernel_begin();
  Stream<kAhead> stream(shared.stream);
  Share share(args);
  Step asking(share), reading(share), now(share);
  const auto ask = [&] {
    if (threadIdx.x >= kWarp) return;
    const Asked asked = asking.asked(share);
    stream.ask(asked, [&](int r) -> const bf16* {
      const std::int64_t column = share.column(asking.tile, r);
      if (column >= share.end()) return nullptr;
      if (asking.group < 0) return args.shared + column * args.shared_row;
      return args.routed + shared.groups[asking.group].group * args.routed_matrix + column * args.routed_row;
    });
    asking.next(share);
  };
  // One group is taken for granted here, so that the first chunk after the shared expert's is of a group.
  const int early = min(kAhead, share.early());
  for (int i = 0; i < early; ++i) ask();
  wait_for_kernel_before();
  if (threadIdx.x < kWarp) {
    const int count = list_groups(args.offsets, args.groups, args.rows, shared.groups);
    if (threadIdx.x == 0) shared.num_groups = count;
  }
  __syncthreads();
  share.add_routed(shared.num_groups);
  if (asking.group >= share.groups() && early > 0 && early == share.early()) {
    asking.group = share.first_group(), ++asking.tile;
  }
  for (int i = early; i < kAhead; ++i) ask();

  Tokens<kTokens, kRows> tokens, after;
  Totals<kTokens, kRows> sums;
  tokens.read(args, shared, share, reading);
  for (; now.tile < share.tiles(); now = reading) {
    reading.next(share);
    after.read(args, shared, share, reading);
    const Asked asked = now.asked(share);
    sums.add(WeightPiece(stream.next(), asked), tokens, now.group,
             asked.count > 0 && now.group >= 0 ? shared.groups[now.group] : GroupRows{});
    tokens = after;
    const bool ends_tile = now.ends_tile(share);
    if (ends_tile) sums.put(shared.parts);
    __syncthreads();
    ask();
    if (!ends_tile) continue;
    store_tile(args, share, now.tile, shared);
    __syncthreads();
  }
}

Args args_of(const FewExperts& e) {
  return {Rows<bf16>(e.activated),
          Rows<bf16>(e.shared_activated),
          Rows<bf16>(e.base),
          Rows<bf16>(e.y),
          Rows<float>(e.v),
          Rows<std::int32_t>(e.row_of),
          e.offsets,
          static_cast<const bf16*>(e.down.data),
          static_cast<const bf16*>(e.shared_down.data),
          e.down.row_stride,
          e.down.matrix_stride,
          e.shared_down.row_stride,
          static_cast<int>(e.down.matrices),
          static_cast<int>(e.activated.rows),
          static_cast<int>(e.x.rows),
          static_cast<int>(e.row_of.columns),
          static_cast<int>(e.x.columns),
          static_cast<int>(e.activated.columns),
          static_cast<int>(e.shared_activated.columns)};
}

template <int kTokens, int kRows>
void launch(const Context& context, const FewExperts& e) {
  constexpr std::size_t kBytes = sizeof(Shared<kTokens, kRows>);
  const auto kernel = down_kernel<kTokens, kRows>;
  CARAVAN_CUDA_CHECK(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(kBytes)));
  launch_following(kernel, dim3(resident_blocks(context, e.x.columns, kTileRows, 1)), dim3(kThreads),
                   context.stream(), kBytes, args_of(e));
}

template <int kTokens>
void launch_for_rows(const Context& context, const FewExperts& e) {
  const std::int64_t rows = e.activated.rows;
  if (rows <= kTileTokens) return launch<kTokens, 1>(context, e);
  if (rows <= 2 * kTileTokens) return launch<kTokens, 2>(context, e);
  if (rows <= 4 * kTileTokens) return launch<kTokens, 4>(context, e);
  launch<kTokens, 8>(context, e);
}

}  // namespace

void experts_down(const Context& context, const FewExperts& e) {
  if (e.x.rows <= kTileTokens) return launch_for_rows<1>(context, e);
  if (e.x.rows <= 2 * kTileTokens) return launch_for_rows<2>(context, e);
  launch_for_rows<4>(context, e);
}

}  // namespace caravan::cuda
