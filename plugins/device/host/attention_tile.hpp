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
/// Keys of a tile: two tiles of 96·32 floats are 24 KiB and leave room in a first cache of 32 KiB.
inline constexpr int kTilePanels = 48 / kPanel;
inline constexpr int kTileKeys = kTilePanels * kPanel;
/// Columns of a head that are one register block of out_t.
inline constexpr int kWidthBlock = kLanes < 8 ? kLanes : 8;

static_assert(kQueries > kPanel, "the scratch of packing a panel is as large as a block of queries");
/// Divides every padded width.
inline constexpr int kDepthUnroll = kLanes < 8 ? kLanes : 8;

/// to[d][query] += Σ_key rows[key][d]·tile[key][query]; `width` columns of a head, rows `width` apart.
void add_transposed_rows(const float* rows, std::int64_t width, const float* tile, std::int64_t keys,
                         float* to);

/// to[key][d] += Σ_query tile[key][query]·rows[query][d] for the keys of `panels` panels.
void add_key_rows(const float* tile, std::int64_t panels, const float* rows, std::int64_t width, float* to);

}  // namespace caravan::host
