#pragma once

#include <cstdint>
#include <string>

#include "caravan/ops/attention.hpp"
#include "caravan/tensor.hpp"

// Rows of many sequences at once, whose earlier keys and values stand in a paged cache. Arguments of
// operators; the conventions stand in caravan/ops.hpp. Everything that differs from one step to the next is
// in the device's memory, so that a step of given T can be recorded once and replayed.
namespace caravan {

/// Where each row of a step stands in the cache. A sequence has a slot; its position p stands in page
/// pages[slot, q/P] at place q mod P, with q = p mod ring. Rows whose slot is negative are padding: they
/// write nothing, attend to nothing, and their position says nothing. No two rows have the same slot and
/// position, and rows of one slot are ≤ ring neighbouring positions of one chunk where there is a ring.
struct CacheRows {
  TensorView slots;       ///< [T] i32
  TensorView positions;   ///< [T] i32
  TensorView pages;       ///< [N, W] i32, N slots
  std::int64_t ring = 0;  ///< 0: q = p
};

/// Of one layer; N pages of P positions.
struct PagedKeys {
  TensorView keys, values;  ///< [N, P, G, D], contiguous
};

/// Queries and keys of a step prepared as by QkPrepareForward, `rows.positions` being their positions; keys
/// and values also written to their places in the cache. Norms leave no rstd.
struct QkPrepareCached {
  QkPrepare how;   ///< of it `tokens` is not read
  TensorView qkv;  ///< [T, (A+2G)·D] in and out; what becomes of keys there is up to the device
  CacheRows rows;
  PagedKeys cache;
};

/// out[t] = softmax(scale·q[t]·kᵀ)·v over the keys of row t's slot from position c to its own, both included,
/// c being the first of its chunk, or 0. Query head h reads key/value head ⌊h·G/A⌋. Padding: 0. The keys of
/// these rows are in the cache already. A row's result does not depend on the other rows, bit by bit.
struct PagedAttention {
  TensorView q;  ///< [T, A, D]
  PagedKeys cache;
  TensorView out;  ///< [T, A, D]
  CacheRows rows;
  std::int64_t chunk = 0;  ///< 0: whole sequences
  float scale = 1;
};

/// Where position `position` of a slot stands: column of the table of pages, and place in the page.
struct CachePlace {
  std::int64_t column = 0, place = 0;
};
constexpr CachePlace place_of(std::int64_t position, std::int64_t ring, std::int64_t page) noexcept {
  const std::int64_t q = ring > 0 ? position % ring : position;
  return {q / page, q % page};
}

/// The first position that a row at `position` sees.
constexpr std::int64_t first_seen(std::int64_t position, std::int64_t chunk) noexcept {
  return chunk > 0 ? position / chunk * chunk : 0;
}

/// Of rows in host memory: empty, or which row has a slot, a position or its page out of range. Pages of
/// earlier positions are looked at by those who read them.
std::string problem_with(const CacheRows& rows, const PagedKeys& cache);

/// What sequences leave for the next step of one row each: where drawn[t] ends its sequence, the row becomes
/// padding; else it stands at the next position with that token. A sequence ends with a token of `stops`,
/// with the last of the tokens that it may draw, and where nothing could be drawn (negative).
struct AdvanceRows {
  TensorView drawn;      ///< [T] i32
  TensorView stops;      ///< [S] i32 ids, or empty
  TensorView left;       ///< [N] i32 in and out: tokens that each slot may still draw
  TensorView tokens;     ///< [T] i32 out; of padding 0
  TensorView slots;      ///< [T] i32 in and out
  TensorView positions;  ///< [T] i32 in and out
};

/// Experts of few tokens and the one that all of them share, from x to y:
///   y[t] = base[t] + shared(x[t]) + Σ_k v·expert(w·x[t]),  expert(x) = down·(silu(gate·x)·(up·x)),
/// the sum over the choices of t that have a row, w and v of choice (t, k), 1 where they are empty; w·x is
/// rounded to the type of x, as are gate·x, up·x and `activated`. A token's y does not depend on the other
/// tokens, bit by bit.
struct DecodeExperts {
  TensorView x;                            ///< [T, H]
  TensorView offsets;                      ///< [E+1] first row of each expert
  TensorView row_of;                       ///< [T, K]
  TensorView choice_of;                    ///< [R]
  TensorView w, v;                         ///< [T, K] f32 or empty
  TensorView gate_up;                      ///< [E, 2F, H]
  TensorView down;                         ///< [E, H, F]
  TensorView activated;                    ///< [R, F] room
  TensorView out;                          ///< [R, H] room
  TensorView shared_gate_up, shared_down;  ///< [2S, H], [H, S]; or empty, as the next
  TensorView shared_activated;             ///< [T, S] room
  TensorView base;                         ///< [T, H] or empty; may be y
  TensorView y;                            ///< [T, H]
};

}  // namespace caravan
