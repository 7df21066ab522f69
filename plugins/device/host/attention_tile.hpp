#pragma once

#include <cstdint>

#include "register_block.hpp"

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
/// Keys of a tile: whole panels.
inline constexpr int kTilePanels = 48 / kPanel;
inline constexpr int kTileKeys = kTilePanels * kPanel;
/// Queries of a tile of the backward, whole blocks: the gradients of keys are read and written once a tile,
/// so where a block is 16 queries, four of them share that. Two tiles of 48·64 floats are 24 KiB.
inline constexpr int kTileBlocks = kQueries < 32 ? 4 : 1;
inline constexpr int kTileQueries = kTileBlocks * kQueries;
/// Columns of a head that are one register block of out_t: 4·2 sums, 2 vectors of the tile and a broadcast
/// fit 16 registers, 8·2 sums do not.
inline constexpr int kWidthBlock = kVectorRegisters == 32 ? 8 : 4;

static_assert(kQueries > kPanel, "the scratch of packing a panel is as large as a block of queries");
/// Divides every padded width.
inline constexpr int kDepthUnroll = kLanes < 8 ? kLanes : 8;

/// scores[key][query] += Σ_d panel[d][key]·columns[d][query] for the keys of a panel and kQueries queries:
/// keys or values, and queries or gradients.
CARAVAN_INLINE void add_scores(Block<kPanel, kQueryVectors>& scores, std::int64_t width, const float* panel,
                               const float* columns) {
  multiply_add<kDepthUnroll>(scores, width, {panel, 1, kPanel}, {columns, kQueries});
}

/// Scores of some keys, [key][query], rows `stride` apart.
struct ScoreTile {
  const float* data;
  std::int64_t keys, stride;
};

/// to[d][query] += Σ_key rows[key][d]·tile[key][query] for kQueries queries; `width` columns of a head, rows
/// `width` apart.
void add_transposed_rows(const float* rows, std::int64_t width, const ScoreTile& tile, float* to);

/// to[key][d] += Σ_query tile[key][query]·rows[query][d] for whole panels of keys and the first `queries`
/// queries, a multiple of kQueries, of rows that are kTileQueries apart.
void add_key_rows(const ScoreTile& tile, std::int64_t queries, const float* rows, std::int64_t width,
                  float* to);

}  // namespace caravan::host
