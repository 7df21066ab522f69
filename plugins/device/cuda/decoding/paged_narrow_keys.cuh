#pragma once

#include <cstdint>

#include "plugins/device/cuda/decoding/paged_parts.cuh"
#include "plugins/device/cuda/kernels/narrow_fragments.cuh"

// Softmax over the keys of one row as a warp makes it on the tensor cores, which are told that the queries of
// a key/value head are the rows of a matrix: a tenth of the instructions of numbers in fp32.
namespace caravan::cuda {

/// sum += a·b for the first eight rows of a 16×16 matrix, whose others are 0, and 16×8.
__device__ inline void multiply_add_upper(float (&sum)[2], std::uint32_t a0, std::uint32_t a1,
                                          std::uint32_t b0, std::uint32_t b1) {
  [[maybe_unused]] float of_zeros[2];
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %5}, {%7, %8}, "
      "{%0, %1, %9, %9};"
      : "+f"(sum[0]), "+f"(sum[1]), "=f"(of_zeros[0]), "=f"(of_zeros[1])
      : "r"(a0), "r"(0), "r"(a1), "r"(b0), "r"(b1), "f"(0.0f));
}

/// The softmax of kQueries ≤ 8 queries over the keys of one warp, sixteen at a time; a lane's group is the
/// query. Of a tile, fragment f has the keys 8·f + g/2 + 4·(g%2) of groups g, so that a lane's four scores
/// are of the keys member, + 4, + 8, + 12, which is how DepthRows has the values. kWidth is a multiple of 32.
template <int kWidth, int kQueries>
struct NarrowKeys {
  static constexpr int kTile = 16, kSteps = kWidth / 32, kSquares = (kWidth + 63) / 64;
  using Part = QueryParts<kQueries, kWidth>;
  const PagedArgs& args;
  const KeyRange& range;
  FragmentLane lane;
  Eight query[kSteps];
  float sum[kSquares][8][2]{}, most = -INFINITY, total = 0;

  __device__ NarrowKeys(const PagedArgs& a, const KeyRange& keys, int first_query) : args(a), range(keys) {
    const int h = range.head * a.queries + min(first_query + lane.group, a.queries - 1);
    const bf16* const from = static_cast<const bf16*>(a.q) + range.row * a.q_row + h * a.q_head;
#pragma unroll
    for (int step = 0; step < kSteps; ++step) query[step] = eight_at(from + step * 32 + 8 * lane.member);
  }

  __device__ void start() {
    most = -INFINITY, total = 0;
#pragma unroll
    for (int i = 0; i < 16 * kSquares; ++i) sum[i / 16][i / 2 % 8][i % 2] = 0;
  }
  __device__ const bf16* head_at(const void* data, std::int64_t place) const {
    return static_cast<const bf16*>(data) + (max(place, std::int64_t{0}) + range.head) * kWidth;
  }

  /// The place of this lane's key of the tile that begins there.
  __device__ std::int64_t place_in(std::int64_t begin) const {
    return range.place(args.rows, begin + static_cast<int>(threadIdx.x) % kTile);
  }
  /// Tiles at `begin`, + stride, …; all lanes of a warp. The pages of the next one are looked up while one is
  /// on its way.
  __device__ void attend_all(std::int64_t begin, int stride) {
    std::int64_t place = place_in(begin);
    for (std::int64_t at = begin; at <= range.last; at += stride) {
      const std::int64_t next = place_in(at + stride);
      attend(place);
      place = next;
    }
  }

  /// A tile. A key that is not there counts nothing, and its values, which nobody may have written, are taken
  /// for 0.
  __device__ void attend(std::int64_t place) {
    const unsigned is_there = __ballot_sync(kWholeWarp, place >= 0);
    Eight keys[2][kSteps];
    DepthRows values[kSquares];
#pragma unroll
    for (int f = 0; f < 2; ++f) {
      const bf16* const key =
          head_at(args.keys, __shfl_sync(kWholeWarp, place, 8 * f + lane.group / 2 + 4 * (lane.group % 2)));
#pragma unroll
      for (int step = 0; step < kSteps; ++step) keys[f][step] = eight_at(key + step * 32 + 8 * lane.member);
    }
    const bf16* of[4];
#pragma unroll
    for (int i = 0; i < 4; ++i)
      of[i] = head_at(args.values, __shfl_sync(kWholeWarp, place, lane.member + 4 * i)) + column_read(lane);
#pragma unroll
    for (int square = 0; square < kSquares; ++square) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const bool is_within = 64 * square + column_read(lane) < kWidth;
        const bool is_wanted = is_within && (is_there >> (lane.member + 4 * i) & 1) != 0;
        values[square].row[i] = is_wanted ? eight_at(of[i] + 64 * square) : Eight{};
      }
    }
    float scores[2][2]{};
    score(keys, scores);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float& of_key = scores[i / 2][i % 2];
      of_key = is_there >> (lane.member + 4 * i) & 1 ? of_key * args.scale * kLog2E : -INFINITY;
    }
    weigh(scores);
    add_values(values, scores);
  }

  __device__ void score(const Eight (&keys)[2][kSteps], float (&scores)[2][2]) const {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (int half = 0; half < 4; half += 2) {
#pragma unroll
        for (int f = 0; f < 2; ++f)
          multiply_add_upper(scores[f], query[step].pair[half], query[step].pair[half + 1],
                             keys[f][step].pair[half], keys[f][step].pair[half + 1]);
      }
    }
  }

  /// Turns scores to weights relative to the largest so far.
  __device__ void weigh(float (&scores)[2][2]) {
    float higher = fmaxf(fmaxf(scores[0][0], scores[0][1]), fmaxf(scores[1][0], scores[1][1]));
    higher = fmaxf(higher, __shfl_xor_sync(kWholeWarp, higher, 1));
    higher = fmaxf(most, fmaxf(higher, __shfl_xor_sync(kWholeWarp, higher, 2)));
    const float base = higher == -INFINITY ? 0.0f : higher, factor = exp2f(most - base);
    most = higher;
    total *= factor;
#pragma unroll
    for (int i = 0; i < 16 * kSquares; ++i) sum[i / 16][i / 2 % 8][i % 2] *= factor;
#pragma unroll
    for (int i = 0; i < 4; ++i) total += scores[i / 2][i % 2] = exp2f(scores[i / 2][i % 2] - base);
  }

  __device__ void add_values(const DepthRows (&values)[kSquares], const float (&weights)[2][2]) {
    std::uint32_t pair[2];
#pragma unroll
    for (int f = 0; f < 2; ++f)
      pair[f] = pair_of(from_float<bf16>(weights[f][0]), from_float<bf16>(weights[f][1]));
#pragma unroll
    for (int square = 0; square < kSquares; ++square) {
#pragma unroll
      for (int j = 0; j < 8; ++j)
        multiply_add_upper(sum[square][j], pair[0], pair[1], values[square].of(j, 0),
                           values[square].of(j, 1));
    }
  }

  __device__ void put(Part& to) {
    total += __shfl_xor_sync(kWholeWarp, total, 1);
    total += __shfl_xor_sync(kWholeWarp, total, 2);
    if (lane.group >= kQueries) return;
    if (lane.member == 0) to.most[lane.group] = most, to.total[lane.group] = total;
#pragma unroll
    for (int i = 0; i < 16 * kSquares; ++i) {
      const int column = i / 16 * 64 + column_of(lane.member, i % 2) + i / 2 % 8;
      if (column < kWidth) to.sum[lane.group][column] = sum[i / 16][i / 2 % 8][i % 2];
    }
  }
};

}  // namespace caravan::cuda
