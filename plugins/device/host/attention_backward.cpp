#include <algorithm>
#include <cmath>
#include <new>
#include <numbers>

#include "attention_dropout.hpp"
#include "attention_mask.hpp"
#include "attention_pack.hpp"
#include "host_ops.hpp"
#include "parallel.hpp"

namespace caravan::host {
namespace {

/// Keys and values of one head, packed, and their gradients. dk and dv are read and written for every tile of
/// scores, so the walk is a tile of keys outside and the blocks of queries inside: the tile then stays in the
/// first cache.
struct KeySide {
  float *k, *v;  ///< panels
  float* k_rows;
  float *dk, *dv;  ///< rows, added to
};

/// All queries of one head, a block of kQueries after the other.
struct QuerySide {
  float *q_rows, *dout_rows;  ///< [block][kQueries][padded_width]; q times scale
  float *qt, *dout_t;         ///< [block][padded_width][kQueries]; q times scale·log2(e)
  float* dq_t;                ///< [block][padded_width][kQueries], to be multiplied by scale
  float* shift;               ///< [block][kQueries] lse in units of log2
  float* delta;               ///< [block][kQueries] Σ_d dout·out
};

/// A tile of probabilities and of gradients of scores, [kTileKeys][kTileQueries].
struct Tiles {
  float *p, *ds;
  float* kept;  ///< with dropout

  /// The same from another key and query on.
  Tiles from(std::int64_t key, std::int64_t query) const {
    const std::int64_t offset = key * kTileQueries + query;
    return {p + offset, ds + offset, kept + offset};
  }
};

/// What one tile of scores is made from: some keys, one block of queries.
struct Crossing {
  const float *k, *v;  ///< panels from the first key on
  const float *qt, *dout_t;
  Vec shift[kQueryVectors], delta[kQueryVectors];
};

// Inlined into the walk, the two products have too many values beside them for sixteen registers, and GCC
// keeps sums in memory: a fifth of the backward's time.
#if defined(__AVX512F__)
#define CARAVAN_APART_WITH_FEW_REGISTERS
#else
#define CARAVAN_APART_WITH_FEW_REGISTERS __attribute__((noinline))
#endif

/// p = 2^(score − lse), 0 where a key is hidden; then ds = p·(v·dout − delta).
template <Visibility kSees>
CARAVAN_APART_WITH_FEW_REGISTERS void gradient_panel(std::int64_t width, const BlockMask& mask,
                                                     std::int64_t key, const Crossing& x,
                                                     const Tiles& tiles) {
  Block<kPanel, kQueryVectors> s;
#pragma GCC unroll 16
  for (int m = 0; m < kPanel; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < kQueryVectors; ++n) s[m][n] = -x.shift[n];
  }
  add_scores(s, width, x.k, x.qt);
#pragma GCC unroll 16
  for (int m = 0; m < kPanel; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < kQueryVectors; ++n) {
      Vec p = exp2_finite(s[m][n]);
      if constexpr (kSees == Visibility::some) p = keep_visible(p, mask.visible(key + m, n));
      store(tiles.p + m * kTileQueries + n * kLanes, p);
      s[m][n] = -x.delta[n];
    }
  }
  add_scores(s, width, x.v, x.dout_t);
#pragma GCC unroll 16
  for (int m = 0; m < kPanel; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < kQueryVectors; ++n) {
      const std::int64_t at = m * kTileQueries + n * kLanes;
      store(tiles.ds + at, s[m][n] * load(tiles.p + at));
    }
  }
}

/// With dropout the gradient of a probability is kept·(v·dout), and what v is multiplied by is kept·p.
/// gradient_panel made ds = p·(v·dout − delta), so p·kept·(v·dout) = kept·(ds + p·delta).
void apply_dropout(const AttentionCall& call, const QueryRows& which, const KeyRange& keys, const Crossing& x,
                   const Tiles& tiles) {
  dropout_tile(call, which, keys, tiles.kept);
  for (std::int64_t j = 0; j < keys.end - keys.begin; ++j) {
    for (int n = 0; n < kQueryVectors; ++n) {
      const std::int64_t at = j * kTileQueries + n * kLanes;
      const Vec p = load(tiles.p + at), kept = load(tiles.kept + at);
      const Vec shared = p * x.delta[n];
      store(tiles.ds + at, kept * (load(tiles.ds + at) + shared) - shared);
      store(tiles.p + at, p * kept);
    }
  }
}

/// Keys that kQueries queries do not see: no probability, no gradient.
void hide(const Tiles& tiles, const KeyRange& keys) {
  for (std::int64_t key = keys.begin; key < keys.end; ++key) {
    std::fill_n(tiles.p + key * kTileQueries, kQueries, 0.0f);
    std::fill_n(tiles.ds + key * kTileQueries, kQueries, 0.0f);
  }
}

struct Gradients {
  HeadRows out, dout, dq, dk, dv;
};

/// The heads that read one key/value head of one sequence.
class BackwardGroup {
 public:
  BackwardGroup(const AttentionCall& call, const Gradients& views, const KeyHead& which, Workspace& scratch);
  void run();

 private:
  void take_scratch(Workspace& scratch);
  void run_head(std::int64_t head);
  void set_queries(const QueryRows& which);
  KeyRange seen_keys(std::int64_t first_query, std::int64_t tile_begin) const;
  void cross(const QueryRows& which, const KeyRange& keys, const Tiles& tiles);
  void cross_tile(const QueryRows& first, std::int64_t tile_begin);
  void store_keys(const float* rows, const HeadRows& to) const;
  std::int64_t blocks() const { return (call_.queries + kQueries - 1) / kQueries; }

  const AttentionCall& call_;
  const Gradients& views_;
  KeyHead which_;
  KeySide k_;
  QuerySide q_;
  Tiles tiles_;
  BlockMask* masks_;  ///< of each block of queries
};

BackwardGroup::BackwardGroup(const AttentionCall& call, const Gradients& views, const KeyHead& which,
                             Workspace& scratch)
    : call_(call), views_(views), which_(which) {
  take_scratch(scratch);
  for (std::int64_t block = 0; block < blocks(); ++block) {
    new (masks_ + block) BlockMask(call, which.sequence, block * kQueries);
  }
  pack_panels(call, call.k, which, q_.q_rows, k_.k);
  pack_panels(call, call.v, which, q_.q_rows, k_.v);
  pack_rows(call, call.k, which, k_.k_rows);
}

void BackwardGroup::take_scratch(Workspace& scratch) {
  const auto keys = static_cast<std::size_t>(panels_size(call_)),
             rows = static_cast<std::size_t>(blocks() * kQueries);
  const std::size_t queries = rows * static_cast<std::size_t>(call_.padded_width);
  const std::size_t masks = static_cast<std::size_t>(blocks()) * sizeof(BlockMask) / sizeof(float);
  constexpr std::size_t kTile = kTileKeys * kTileQueries;
  scratch.begin(5 * keys + 5 * queries + 2 * rows + 3 * kTile + masks, 16);
  k_ = {scratch.take(keys), scratch.take(keys), scratch.take(keys), scratch.take(keys), scratch.take(keys)};
  q_ = {scratch.take(queries), scratch.take(queries), scratch.take(queries), scratch.take(queries),
        scratch.take(queries), scratch.take(rows),    scratch.take(rows)};
  tiles_ = {scratch.take(kTile), scratch.take(kTile), scratch.take(kTile)};
  masks_ = reinterpret_cast<BlockMask*>(scratch.take(masks));
  std::fill_n(k_.dk, keys, 0.0f);
  std::fill_n(k_.dv, keys, 0.0f);
}

void BackwardGroup::set_queries(const QueryRows& which) {
  const std::int64_t width = call_.padded_width, at = which.first * width;
  float *rows = q_.q_rows + at, *dout = q_.dout_rows + at;
  pack_queries(call_, views_.out, which, rows);
  pack_queries(call_, views_.dout, which, dout);
  const float* lse = call_.lse_row(which.sequence, which.head);
  for (std::int64_t i = 0; i < kQueries; ++i) {
    Vec products{};
    for (std::int64_t d = 0; d < width; d += kLanes) {
      products += load(rows + i * width + d) * load(dout + i * width + d);
    }
    q_.delta[which.first + i] = sum_of(products);
    q_.shift[which.first + i] =
        which.first + i < call_.queries ? lse[which.first + i] * std::numbers::log2e_v<float> : 0.0f;
  }
  pack_queries(call_, call_.q, which, rows);
  transpose_queries(rows, width, call_.scale * std::numbers::log2e_v<float>, q_.qt + at);
  transpose_queries(dout, width, 1, q_.dout_t + at);
  Line(rows, kQueries * width) *= call_.scale;
  std::fill_n(q_.dq_t + at, width * kQueries, 0.0f);
}

/// Of the tile of keys that begins at `tile_begin`, those that a block of queries may see; end ≤ begin: none.
KeyRange BackwardGroup::seen_keys(std::int64_t first_query, std::int64_t tile_begin) const {
  const BlockMask& mask = masks_[first_query / kQueries];
  return {std::max(tile_begin, mask.begin()), std::min(tile_begin + kTileKeys, mask.end())};
}

/// The probabilities and gradients of the scores of one block of queries, and what they give to the queries.
void BackwardGroup::cross(const QueryRows& which, const KeyRange& keys, const Tiles& tiles) {
  const BlockMask& mask = masks_[which.first / kQueries];
  const std::int64_t width = call_.padded_width, at_query = which.first * width, at_key = keys.begin * width;
  Crossing x{k_.k + at_key, k_.v + at_key, q_.qt + at_query, q_.dout_t + at_query, {}, {}};
  for (int n = 0; n < kQueryVectors; ++n) {
    x.shift[n] = load(q_.shift + which.first + n * kLanes);
    x.delta[n] = load(q_.delta + which.first + n * kLanes);
  }
  for (std::int64_t key = keys.begin; key < keys.end; key += kPanel) {
    const Tiles at = tiles.from(key - keys.begin, 0);
    if (mask.panel(key) == Visibility::all) {
      gradient_panel<Visibility::all>(width, mask, key, x, at);
    } else {
      gradient_panel<Visibility::some>(width, mask, key, x, at);
    }
    x.k += kPanel * width, x.v += kPanel * width;
  }
  if (call_.dropout.probability > 0) apply_dropout(call_, which, keys, x, tiles);
  add_transposed_rows(k_.k_rows + at_key, width, {tiles.ds, keys.end - keys.begin, kTileQueries},
                      q_.dq_t + at_query);
}

/// Everything that up to kTileBlocks blocks of queries and a tile of keys give to each other. What a block
/// does not see of the keys that another sees is zero.
void BackwardGroup::cross_tile(const QueryRows& first, std::int64_t tile_begin) {
  const std::int64_t count = std::min<std::int64_t>(kTileQueries, blocks() * kQueries - first.first);
  KeyRange all{tile_begin + kTileKeys, tile_begin};
  for (std::int64_t query = 0; query < count; query += kQueries) {
    const KeyRange seen = seen_keys(first.first + query, tile_begin);
    if (seen.begin < seen.end) all = {std::min(all.begin, seen.begin), std::max(all.end, seen.end)};
  }
  if (all.begin >= all.end) return;
  for (std::int64_t query = 0; query < count; query += kQueries) {
    const KeyRange seen = seen_keys(first.first + query, tile_begin);
    const bool any = seen.begin < seen.end;
    hide(tiles_.from(0, query), {0, (any ? seen.begin : all.end) - all.begin});
    if (!any) continue;
    hide(tiles_.from(0, query), {seen.end - all.begin, all.end - all.begin});
    cross({first.sequence, first.head, first.first + query}, seen,
          tiles_.from(seen.begin - all.begin, query));
  }
  const std::int64_t width = call_.padded_width, at_query = first.first * width, at_key = all.begin * width;
  const std::int64_t keys = all.end - all.begin;
  add_key_rows({tiles_.p, keys, kTileQueries}, count, q_.dout_rows + at_query, width, k_.dv + at_key);
  add_key_rows({tiles_.ds, keys, kTileQueries}, count, q_.q_rows + at_query, width, k_.dk + at_key);
}

void BackwardGroup::run_head(std::int64_t head) {
  QueryRows which{which_.sequence, head, 0};
  for (which.first = 0; which.first < call_.queries; which.first += kQueries) set_queries(which);
  for (std::int64_t key = 0; key < call_.padded_keys; key += kTileKeys) {
    for (which.first = 0; which.first < call_.queries; which.first += kTileQueries) cross_tile(which, key);
  }
  alignas(64) float factors[kQueries];
  std::fill_n(factors, kQueries, call_.scale);
  for (which.first = 0; which.first < call_.queries; which.first += kQueries) {
    const std::int64_t at = which.first * call_.padded_width;
    transpose_back(q_.dq_t + at, call_.padded_width, factors, q_.q_rows + at);
    (call_.adds ? add_queries : unpack_queries)(call_, q_.q_rows + at, which, views_.dq);
  }
}

void BackwardGroup::store_keys(const float* rows, const HeadRows& to) const {
  for (std::int64_t j = 0; j < call_.keys; ++j) {
    std::copy_n(rows + j * call_.padded_width, call_.width, to.row(which_.sequence, j, which_.head));
  }
}

void BackwardGroup::run() {
  const std::int64_t heads = call_.heads_per_kv();
  for (std::int64_t head = which_.head * heads; head < (which_.head + 1) * heads; ++head) run_head(head);
  store_keys(k_.dk, views_.dk);
  store_keys(k_.dv, views_.dv);
}

}  // namespace

void HostOps::attention_backward(const AttentionBackward& args) {
  const Call check("attention_backward");
  const AttentionCall call(check, args);
  const std::int64_t q_shape[4] = {call.batch, call.queries, call.heads, call.width};
  const std::int64_t k_shape[4] = {call.batch, call.keys, call.kv_heads, call.width};
  const Gradients views{head_rows(check, "out", args.out, q_shape),
                        head_rows(check, "dout", args.dout, q_shape),
                        head_rows(check, "dq", args.dq, q_shape), head_rows(check, "dk", args.dk, k_shape),
                        head_rows(check, "dv", args.dv, k_shape)};
  team_.for_each(
      call.batch * call.kv_heads, call.queries * call.keys, [&](std::int64_t item, std::int64_t worker) {
        BackwardGroup(call, views, {item / call.kv_heads, item % call.kv_heads}, workspace(worker)).run();
      });
}

}  // namespace caravan::host
