#pragma once

#include <cstdint>

#include "vec.hpp"

// The products of a tile of attention. Queries lie across the lanes of vectors: a tile of scores is kept
// transposed, [key][query], so that maxima, sums and masks are lane by lane, nothing is ever summed across
// lanes, and head widths as small as 16 fill the registers. Five products, all of one shape, rows broadcast
// from `a` times vectors of `b`:
//   scores[key][query]    += k[key][d] · qt[d][query]
//   dscores[key][query]   += v[key][d] · dout_t[d][query]
//   out_t, dq_t[d][query] += (v, k)[key][d] · tile[key][query]
//   dv, dk[key][d]        += tile[key][query] · (dout, q)[query][d]
namespace caravan::host {

inline constexpr int kQueryVectors = 2;
inline constexpr int kQueries = kQueryVectors * kLanes;
/// Keys of a register block: 12·2 sums, 2 vectors of b and a broadcast fill 32 registers, 6·2 fill 16.
inline constexpr int kPanel = kVectorRegisters == 32 ? 12 : 6;
/// Keys of a tile: two tiles of 96·32 floats are 24 KiB and leave room in a first cache of 32 KiB.
inline constexpr int kTilePanels = 48 / kPanel;
inline constexpr int kTileKeys = kTilePanels * kPanel;
/// Columns of a head that are one register block of out_t.
inline constexpr int kWidthBlock = kLanes < 8 ? kLanes : 8;

static_assert(kQueries > kPanel, "the scratch of packing a panel is as large as a block of queries");
/// Divides every padded width.
inline constexpr int kDepthUnroll = kLanes < 8 ? kLanes : 8;

template <int Rows, int Vectors>
using Block = Vec[Rows][Vectors];

template <int Rows, int Vectors>
CARAVAN_INLINE void clear(Block<Rows, Vectors>& sums) {
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < Vectors; ++n) sums[m][n] = Vec{};
  }
}

template <int Rows, int Vectors>
CARAVAN_INLINE void load_block(Block<Rows, Vectors>& sums, const float* from, std::int64_t stride) {
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < Vectors; ++n) sums[m][n] = load(from + m * stride + n * kLanes);
  }
}

template <int Rows, int Vectors>
CARAVAN_INLINE void store_block(const Block<Rows, Vectors>& sums, float* to, std::int64_t stride) {
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < Vectors; ++n) store(to + m * stride + n * kLanes, sums[m][n]);
  }
}

/// a(m, k) is a[m·row + k·step].
struct Broadcasts {
  const float* data;
  std::int64_t row, step;
};
/// Vectors of depth k start at data + k·step.
struct Vectors {
  const float* data;
  std::int64_t step;
};

/// sums[m][n] += Σ_k a(m, k)·b(k)[n] for a depth that is a multiple of Unroll.
template <int Unroll, int Rows, int Columns>
CARAVAN_INLINE void multiply_add(Block<Rows, Columns>& sums, std::int64_t depth, Broadcasts a, Vectors b) {
  for (std::int64_t begin = 0; begin < depth; begin += Unroll) {
#pragma GCC unroll 16
    for (int k = 0; k < Unroll; ++k, a.data += a.step, b.data += b.step) {
      Vec right[Columns];
#pragma GCC unroll 2
      for (int n = 0; n < Columns; ++n) right[n] = load(b.data + n * kLanes);
#pragma GCC unroll 16
      for (int m = 0; m < Rows; ++m) {
        const Vec left = broadcast(a.data[m * a.row]);
#pragma GCC unroll 2
        for (int n = 0; n < Columns; ++n) sums[m][n] += left * right[n];
      }
    }
  }
}

/// to[d][query] += Σ_key rows[key][d]·tile[key][query]; `width` columns of a head, rows `width` apart.
void add_transposed_rows(const float* rows, std::int64_t width, const float* tile, std::int64_t keys,
                         float* to);

/// to[key][d] += Σ_query tile[key][query]·rows[query][d] for the keys of `panels` panels.
void add_key_rows(const float* tile, std::int64_t panels, const float* rows, std::int64_t width, float* to);

}  // namespace caravan::host
