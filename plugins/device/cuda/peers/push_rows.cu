#include <algorithm>
#include <string>

#include "plugins/device/cuda/comm/meeting.cuh"
#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/device/view.hpp"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/kernels/vec.cuh"

// Rows to the memory of other GPUs, and from where they land. A warp moves a piece of a row at once, with
// four accesses of each lane under way. Where the next pieces of a warp come from and go each lane looks up
// for one of them, so that a piece does not wait for its indices. A few multiprocessors are enough for the
// links and leave the others to products.
namespace caravan::cuda {
namespace {

constexpr int kMostRanks = 64;
constexpr int kLanes = static_cast<int>(kWarp), kWarps = 32, kThreads = kWarps * kLanes;
constexpr int kLinkBlocks = 16;  ///< one on a multiprocessor
constexpr int kSteps = 4, kPiece = kSteps * kLanes;
/// Rows for one rank lie together. Blocks go through all parts of the rows at once, so that rows for every
/// rank, and those that stay, are on their way at any time.
constexpr int kMostParts = 64;

struct Push {
  const std::int32_t *choice_of, *to_rank, *to_row;
  const float* weights;
  std::int64_t weights_stride;
  int rows, top_k, ranks, region_rows;
  std::byte* regions[kMostRanks];
  Meeting waits_for, comes_to;
};

/// Rows of so many words, each in some pieces.
template <class Word>
struct Source {
  const Word* data;
  std::int64_t stride;
  int words, pieces;
  int parts, rows_of_part;

  Source(const PushRows& args, std::int64_t row_bytes, std::int64_t stride_bytes)
      : data(args.rows.as<Word>()),
        stride(stride_bytes / static_cast<std::int64_t>(sizeof(Word))),
        words(static_cast<int>(row_bytes / static_cast<std::int64_t>(sizeof(Word)))),
        pieces(static_cast<int>(ceil_div(words, kPiece))),
        parts(static_cast<int>(std::clamp<std::int64_t>(args.to_rank.count(), 1, kMostParts))),
        rows_of_part(static_cast<int>(ceil_div(args.to_rank.count(), parts))) {}
  __host__ __device__ std::int64_t items() const { return std::int64_t{parts} * rows_of_part * pieces; }
};

/// A piece of a row: which row it is of, its first word, and where it goes; to rank −1: nowhere.
struct Piece {
  int from = 0, first = 0, to_rank = -1, to_row = 0;
  float weight = 1;
};

template <class Word>
__device__ Piece piece_of(const Push& push, const Source<Word>& source, std::int64_t item) {
  const std::int64_t at = item / source.pieces;
  const std::int64_t r = at % source.parts * source.rows_of_part + at / source.parts;
  if (item >= source.items() || r >= push.rows) return {};
  const int choice = push.choice_of ? push.choice_of[r] : static_cast<int>(r), rank = push.to_rank[r],
            row = push.to_row[r];
  // Nothing is written beside the regions, whatever a device that has failed computes.
  if (choice < 0 || rank < 0 || rank >= push.ranks || row < 0 || row >= push.region_rows) return {};
  if (push.regions[rank] == nullptr) return {};
  Piece piece{choice / push.top_k, static_cast<int>(item % source.pieces) * kPiece, rank, row};
  if (push.weights)
    piece.weight = push.weights[piece.from * push.weights_stride + choice - piece.from * push.top_k];
  return piece;
}

/// What a lane of this warp has looked up.
__device__ Piece of_lane(const Piece& own, int lane) {
  const auto there = [&](auto of) { return __shfl_sync(kWholeWarp, of, lane); };
  return {there(own.from), there(own.first), there(own.to_rank), there(own.to_row), there(own.weight)};
}

struct AsItIs {
  template <class Word>
  __device__ Word operator()(const Word& word, float) const {
    return word;
  }
};

struct Weighted {
  template <class T, int N>
  __device__ Raw<T, N> operator()(const Raw<T, N>& word, float weight) const {
    Raw<T, N> changed;
#pragma unroll
    for (int i = 0; i < N; ++i) changed.at[i] = from_float<T>(to_float(word.at[i]) * weight);
    return changed;
  }
};

template <class Word>
__device__ Word* place_of(const Push& push, const Source<Word>& source, const Piece& piece) {
  return reinterpret_cast<Word*>(push.regions[piece.to_rank]) + std::int64_t{piece.to_row} * source.words;
}

/// One warp.
template <class Word, class Change>
__device__ void move_piece(const Push& push, const Source<Word>& source, const Piece& piece,
                           const Change& change) {
  const Word* const from = source.data + piece.from * source.stride;
  Word* const to = place_of(push, source, piece);
  const int first = piece.first + static_cast<int>(threadIdx.x) % kLanes;
  Word moved[kSteps];
#pragma unroll
  for (int i = 0; i < kSteps; ++i) moved[i] = from[min(first + i * kLanes, source.words - 1)];
#pragma unroll
  for (int i = 0; i < kSteps; ++i)
    if (first + i * kLanes < source.words) to[first + i * kLanes] = change(moved[i], piece.weight);
}

template <class Word, class Change>
__global__ void __launch_bounds__(kThreads) push_kernel(Push push, Source<Word> source, Change change) {
  wait_for_all(push.waits_for);
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const std::int64_t warps = std::int64_t{gridDim.x} * kWarps,
                     warp = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kLanes;
  for (std::int64_t item = warp; item < source.items(); item += warps * kLanes) {
    const Piece own = piece_of(push, source, item + lane * warps);
    if (source.words == 1) {  // such as scores: a lane for each
      if (own.to_rank >= 0)
        *place_of(push, source, own) = change(source.data[own.from * source.stride], own.weight);
      continue;
    }
    for (unsigned left = __ballot_sync(kWholeWarp, own.to_rank >= 0); left != 0; left &= left - 1)
      move_piece(push, source, of_lane(own, __ffs(static_cast<int>(left)) - 1), change);
  }
  come_with_grid(push.comes_to);
}

/// The largest of 16, 4, 2 and 1 bytes that rows, and those of every region, begin on and are a multiple of.
int common_access(const PushRows& args, std::int64_t row_bytes, std::int64_t stride_bytes) {
  std::uintptr_t all = reinterpret_cast<std::uintptr_t>(args.rows.data) |
                       static_cast<std::uintptr_t>(row_bytes) | static_cast<std::uintptr_t>(stride_bytes);
  for (std::byte* region : args.regions) all |= reinterpret_cast<std::uintptr_t>(region);
  for (const int bytes : {16, 4, 2})
    if (all % static_cast<std::uintptr_t>(bytes) == 0) return bytes;
  return 1;
}

/// A call, with its rows in bytes.
struct Launch {
  const Context& context;
  const PushRows& args;
  const Push& push;
  std::int64_t row_bytes, stride_bytes;

  int access() const { return common_access(args, row_bytes, stride_bytes); }
  /// Rows that only cross this GPU's memory take half of it: what waits for other ranks, whoever comes late
  /// and what that one waits for on this GPU must run beside each other.
  template <class Word, class Change>
  void run(const Change& change) const {
    const Source<Word> source(args, row_bytes, stride_bytes);
    const int most = args.comes_to ? kLinkBlocks : std::max(context.multiprocessors() / 2, 1);
    push_kernel<Word>
        <<<blocks_for(source.items(), kWarps, most), kThreads, 0, context.stream()>>>(push, source, change);
  }
};

template <class T>
void push_weighted(const Launch& launch) {
  if (launch.access() == 16)
    launch.run<Raw<T, 16 / sizeof(T)>>(Weighted{});
  else
    launch.run<Raw<T, 1>>(Weighted{});
}

void push_as_they_are(const Launch& launch) {
  switch (launch.access()) {
    case 16:
      return launch.run<uint4>(AsItIs{});
    case 4:
      return launch.run<std::uint32_t>(AsItIs{});
    case 2:
      return launch.run<std::uint16_t>(AsItIs{});
    default:
      return launch.run<std::uint8_t>(AsItIs{});
  }
}

/// What kernels take, checked.
Push push_of(const Call& call, const PushRows& args, const Matrix& weights) {
  const std::int64_t pushed = args.to_rank.count();
  if (args.regions.size() > kMostRanks)
    call.fail("rows to " + std::to_string(args.regions.size()) + " ranks (at most " +
              std::to_string(kMostRanks) + ")");
  Push push{args.choice_of.empty() ? nullptr : call.indices("choice_of", args.choice_of, pushed),
            call.indices("to_rank", args.to_rank, pushed),
            call.indices("to_row", args.to_row, pushed),
            weights.as<float>(),
            weights.stride,
            static_cast<int>(pushed),
            static_cast<int>(args.top_k),
            static_cast<int>(args.regions.size()),
            static_cast<int>(args.region_rows),
            {},
            meeting_of(args.waits_for),
            meeting_of(args.comes_to)};
  std::copy(args.regions.begin(), args.regions.end(), push.regions);
  return push;
}

}  // namespace

void CudaOps::push_rows(const PushRows& args) {
  const Call call("push_rows");
  call.check("rows", args.rows, {args.rows.dtype, 2, {kAny, kAny}});
  if (args.to_rank.count() == 0 && !args.waits_for && !args.comes_to) return;
  const Matrix weights =
      call.optional_matrix("weights", args.weights, DType::f32, args.rows.extent(0), args.top_k);
  const Push push = push_of(call, args, weights);
  const auto element = static_cast<std::int64_t>(size_of(args.rows.dtype));
  const Launch launch{context_, args, push, args.rows.extent(1) * element, args.rows.stride(0) * element};
  if (!weights)
    push_as_they_are(launch);
  else if (call.compute_type("rows", args.rows) == DType::bf16)
    push_weighted<__nv_bfloat16>(launch);
  else
    push_weighted<float>(launch);
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace caravan::cuda
