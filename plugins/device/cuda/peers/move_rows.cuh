#pragma once

#include <algorithm>
#include <string>

#include "plugins/device/cuda/comm/meeting.cuh"
#include "plugins/device/cuda/device/view.hpp"
#include "plugins/device/cuda/kernels/launch.hpp"

// How rows move, to the memory of other GPUs and from where they land. A warp moves a piece of a row at once,
// with eight accesses of each lane under way. Where the next pieces of a warp come from and go each lane
// looks up for one of them, so that a piece does not wait for its indices.
namespace caravan::cuda {

inline constexpr int kMostRanks = 64;
inline constexpr int kLanes = static_cast<int>(kWarp), kWarps = 16, kThreads = kWarps * kLanes;
/// One on a multiprocessor: enough for the links, and the others are left to products.
inline constexpr int kLinkBlocks = 16;
inline constexpr int kSteps = 8, kAtOnce = kSteps * kLanes;
/// Rows for one rank lie together. Warps go through all segments of the rows at once, so that rows for every
/// rank, and those that stay, are on their way at any time.
inline constexpr int kSegments = 63;

/// The warps that share some work; those of one block are far apart in it.
struct Crew {
  int warp, warps;
  __device__ Crew(int block, int blocks, int of_block = kWarps)
      : warp(static_cast<int>(threadIdx.x) / kLanes * blocks + block), warps(blocks * of_block) {}
};

/// Rows in the order in which they travel, see RowParts; the order has room for `most`.
struct Order {
  const std::int32_t *rows = nullptr, *ends = nullptr;
  int most = 0;

  __device__ int count() const { return min(ends[kLastPart], most); }
  __device__ int part_of(int turn) const {
    int part = 0;
    while (part < kLastPart && turn >= ends[part]) ++part;
    return part;
  }
};

/// Rows in the order in which warps take them; few ones in pieces, so that all warps have some.
struct Walk {
  int rows, piece, pieces;  ///< words of a piece; pieces of a row

  /// A warp moves `step_words` of each at once.
  __device__ Walk(int all, int words, int step_words, const Crew& crew)
      : rows(all), piece(rows < 4 * crew.warps ? step_words : words), pieces((words + piece - 1) / piece) {}
  __device__ int in_segment() const { return (rows + kSegments - 1) / kSegments; }
  __device__ std::int64_t items() const { return std::int64_t{in_segment()} * kSegments * pieces; }
  /// −1: there is none.
  __device__ std::int64_t row(std::int64_t item) const {
    const std::int64_t at = item / pieces, row = at % kSegments * in_segment() + at / kSegments;
    return item < items() && row < rows ? row : -1;
  }
  __device__ int first_word(std::int64_t item) const { return static_cast<int>(item % pieces) * piece; }
};

/// Where rows come from, so many words each, and where each goes.
template <class Word>
struct Push {
  const Word* data;
  std::int64_t stride;
  int words;
  const std::int32_t *choice_of, *to_rank, *to_row;
  const float* weights;
  std::int64_t weights_stride;
  int rows, top_k, rank, ranks, region_rows;
  Order order;
  std::byte* regions[kMostRanks];
};

/// Which of the rows are moved: those of other ranks, or of this one.
enum class Which { all, that_leave, that_stay };

/// A piece of a row: which row it is of, its first word, and where it goes; to rank −1: nowhere.
struct Piece {
  int from = 0, first = 0, to_rank = -1, to_row = 0;
  float weight = 1;
};

template <class Word>
__device__ Piece piece_of(const Push<Word>& push, Which which, std::int64_t r, int first_word) {
  if (r < 0 || r >= push.rows) return {};
  const int choice = push.choice_of ? push.choice_of[r] : static_cast<int>(r), rank = push.to_rank[r],
            row = push.to_row[r];
  if (which != Which::all && (rank == push.rank) != (which == Which::that_stay)) return {};
  // Nothing is written beside the regions, whatever a device that has failed computes.
  if (choice < 0 || rank < 0 || rank >= push.ranks || row < 0 || row >= push.region_rows) return {};
  if (push.regions[rank] == nullptr) return {};
  Piece piece{choice / push.top_k, first_word, rank, row};
  if (push.weights)
    piece.weight = push.weights[piece.from * push.weights_stride + choice - piece.from * push.top_k];
  return piece;
}

/// What a lane of this warp has looked up.
__device__ inline Piece of_lane(const Piece& own, int lane) {
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
__device__ Word* place_of(const Push<Word>& push, const Piece& piece) {
  return reinterpret_cast<Word*>(push.regions[piece.to_rank]) + std::int64_t{piece.to_row} * push.words;
}

/// One warp: words [piece.first, end) of a row.
template <class Word, class Change>
__device__ void move_piece(const Push<Word>& push, const Piece& piece, int end, const Change& change) {
  const Word* const from = push.data + piece.from * push.stride;
  Word* const to = place_of(push, piece);
  for (int at = piece.first + static_cast<int>(threadIdx.x) % kLanes; at < end; at += kAtOnce) {
    Word moved[kSteps];
#pragma unroll
    for (int i = 0; i < kSteps; ++i) moved[i] = from[min(at + i * kLanes, end - 1)];
#pragma unroll
    for (int i = 0; i < kSteps; ++i)
      if (at + i * kLanes < end) to[at + i * kLanes] = change(moved[i], piece.weight);
  }
}

template <class Word, class Change>
__device__ void move_rows(const Push<Word>& push, Which which, const Crew& crew, const Change& change) {
  const Walk walk(push.rows, push.words, kAtOnce, crew);
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const std::int64_t step = std::int64_t{crew.warps} * kLanes;
  for (std::int64_t item = crew.warp; item < walk.items(); item += step) {
    const std::int64_t at = item + std::int64_t{lane} * crew.warps;
    const Piece own = piece_of(push, which, walk.row(at), walk.first_word(at));
    if (push.words == 1) {  // such as scores: a lane for each
      if (own.to_rank >= 0) *place_of(push, own) = change(push.data[own.from * push.stride], own.weight);
      continue;
    }
    for (unsigned left = __ballot_sync(kWholeWarp, own.to_rank >= 0); left != 0; left &= left - 1) {
      const Piece piece = of_lane(own, __ffs(static_cast<int>(left)) - 1);
      move_piece(push, piece, min(piece.first + walk.piece, push.words), change);
    }
  }
}

/// The first blocks push, and the others do meanwhile what needs no other rank. The kernel is over when all
/// ranks have come: what reads their rows may then have every multiprocessor, since it does not wait.
template <class PushAll, class Meanwhile>
__device__ void push_beside(const Meeting& meeting, const PushAll& push, const Meanwhile& meanwhile) {
  const int block = static_cast<int>(blockIdx.x), blocks = static_cast<int>(gridDim.x),
            links = min(blocks, kLinkBlocks);
  if (block >= links) return meanwhile(Crew(block - links, blocks - links));
  const Crew crew(block, links);
  push(crew);
  come_with_all(meeting, static_cast<unsigned>(crew.warps));
  if (blocks == links) meanwhile(crew);
  if (block == 0 && threadIdx.x < kWarp) wait_for_all(meeting);
}

/// All of it by few blocks: little is over before another kernel begins.
template <class PushAll, class Meanwhile, class Read>
__device__ void push_and_read(const Meeting& meeting, const PushAll& push, const Meanwhile& meanwhile,
                              const Read& read) {
  const Crew all(static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x));
  push(all);
  come_with_all(meeting, static_cast<unsigned>(all.warps));
  meanwhile(all);
  wait_for_all(meeting);
  read(all);
}

/// The largest of 16, 4, 2 and 1 bytes that rows, and those of every region, begin on and are a multiple of.
int common_access(const PushRows& args);
/// The blocks, up to `most`, that rows of so many bytes keep busy.
unsigned blocks_of(const PushRows& args, int most);
inline unsigned all_blocks(const Context& context) {
  return static_cast<unsigned>(context.multiprocessors());
}
/// Whether one kernel brings and reads these rows.
bool is_little(std::int64_t rows, std::int64_t row_bytes);

inline Order order_of(const Call& call, const RowParts& parts) {
  if (parts.empty()) return {};
  return {call.indices("order", parts.order, kAny), call.indices("ends", parts.ends, kRowParts),
          static_cast<int>(parts.order.count())};
}

/// What kernels take, checked.
template <class Word>
Push<Word> push_of(const Call& call, const PushRows& args) {
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(Word));
  const auto element = static_cast<std::int64_t>(size_of(args.rows.dtype));
  const std::int64_t pushed = args.to_rank.count();
  call.check("rows", args.rows, {args.rows.dtype, 2, {kAny, kAny}});
  if (args.regions.size() > kMostRanks)
    call.fail("rows to " + std::to_string(args.regions.size()) + " ranks (at most " +
              std::to_string(kMostRanks) + ")");
  const Matrix weights =
      call.optional_matrix("weights", args.weights, DType::f32, args.rows.extent(0), args.top_k);
  Push<Word> push{args.rows.as<Word>(),
                  args.rows.stride(0) * element / kBytes,
                  static_cast<int>(args.rows.extent(1) * element / kBytes),
                  args.choice_of.empty() ? nullptr : call.indices("choice_of", args.choice_of, pushed),
                  call.indices("to_rank", args.to_rank, pushed),
                  call.indices("to_row", args.to_row, pushed),
                  weights.as<float>(),
                  weights.stride,
                  static_cast<int>(pushed),
                  static_cast<int>(args.top_k),
                  static_cast<int>(args.rank),
                  static_cast<int>(args.regions.size()),
                  static_cast<int>(args.region_rows),
                  order_of(call, args.parts),
                  {}};
  std::copy(args.regions.begin(), args.regions.end(), push.regions);
  return push;
}

/// Calls launch(word, change) with what rows are moved by: a word of up to 16 bytes of `access`, and whether
/// it is weighted.
template <class Launch>
void with_word_and_change(const Call& call, const PushRows& args, int access, const Launch& launch) {
  const bool wide = access == 16;
  if (args.weights.empty()) {
    if (wide) return launch(uint4{}, AsItIs{});
    if (access == 4) return launch(std::uint32_t{}, AsItIs{});
    if (access == 2) return launch(std::uint16_t{}, AsItIs{});
    return launch(std::uint8_t{}, AsItIs{});
  }
  if (call.compute_type("rows", args.rows) == DType::bf16)
    return wide ? launch(Raw<__nv_bfloat16, 8>{}, Weighted{}) : launch(Raw<__nv_bfloat16, 1>{}, Weighted{});
  return wide ? launch(Raw<float, 4>{}, Weighted{}) : launch(Raw<float, 1>{}, Weighted{});
}

}  // namespace caravan::cuda
