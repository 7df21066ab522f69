#include <algorithm>
#include <cmath>
#include <new>

#include "attention_dropout.hpp"
#include "attention_mask.hpp"
#include "attention_pack.hpp"
#include "host_ops.hpp"
#include "parallel.hpp"

namespace caravan::host {
namespace {

constexpr float kLog2e = 1.44269504088896340736f;

/// Keys and values of one head, packed, and their gradients. dk and dv are read and written for every tile of scores,
/// so the walk is a tile of keys outside and the blocks of queries inside: the tile then stays in the first cache.
struct KeySide {
  float *k, *v;    ///< panels
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

/// A tile of probabilities and of gradients of scores, [kTileKeys][kQueries].
struct Tiles {
  float *p, *ds;
  float* kept;  ///< with dropout
};

/// What one tile of scores is made from: some keys, one block of queries.
struct Crossing {
  const float *k, *v;         ///< panels from the first key on
  const float *qt, *dout_t;
  Vec shift[kQueryVectors], delta[kQueryVectors];
};

/// p = 2^(score − lse), 0 where a key is hidden; then ds = p·(v·dout − delta).
template <Visibility kSees>
void gradient_panel(std::int64_t width, const BlockMask& mask, std::int64_t key, const Crossing& x, const Tiles& tiles) {
  Block<kPanel, kQueryVectors> s;
#pragma GCC unroll 16
  for (int m = 0; m < kPanel; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < kQueryVectors; ++n) s[m][n] = -x.shift[n];
  }
  multiply_add<kDepthUnroll>(s, width, {x.k, 1, kPanel}, {x.qt, kQueries});
#pragma GCC unroll 16
  for (int m = 0; m < kPanel; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < kQueryVectors; ++n) {
      Vec p = exp2_finite(s[m][n]);
      if constexpr (kSees == Visibility::some) p = keep_visible(p, mask.visible(key + m, n));
      store(tiles.p + m * kQueries + n * kLanes, p);
      s[m][n] = -x.delta[n];
    }
  }
  multiply_add<kDepthUnroll>(s, width, {x.v, 1, kPanel}, {x.dout_t, kQueries});
#pragma GCC unroll 16
  for (int m = 0; m < kPanel; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < kQueryVectors; ++n) {
      const std::int64_t at = m * kQueries + n * kLanes;
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
      const std::int64_t at = j * kQueries + n * kLanes;
      const Vec p = load(tiles.p + at), kept = load(tiles.kept + at);
      const Vec shared = p * x.delta[n];
      store(tiles.ds + at, kept * (load(tiles.ds + at) + shared) - shared);
      store(tiles.p + at, p * kept);
    }
  }
}

/// Everything that one block of queries and a range of keys give to each other.
void cross(const AttentionCall& call, const BlockMask& mask, const QueryRows& which, const KeyRange& keys,
           const KeySide& k, const QuerySide& q, const Tiles& tiles) {
  const std::int64_t width = call.padded_width, at_query = which.first * width;
  Crossing x{k.k + keys.begin * width, k.v + keys.begin * width, q.qt + at_query, q.dout_t + at_query, {}, {}};
  for (int n = 0; n < kQueryVectors; ++n) {
    x.shift[n] = load(q.shift + which.first + n * kLanes);
    x.delta[n] = load(q.delta + which.first + n * kLanes);
  }
  Tiles at = tiles;
  for (std::int64_t key = keys.begin; key < keys.end; key += kPanel) {
    if (mask.panel(key) == Visibility::all) {
      gradient_panel<Visibility::all>(width, mask, key, x, at);
    } else {
      gradient_panel<Visibility::some>(width, mask, key, x, at);
    }
    x.k += kPanel * width, x.v += kPanel * width;
    at.p += kPanel * kQueries, at.ds += kPanel * kQueries;
  }
  if (call.dropout.probability > 0) apply_dropout(call, which, keys, x, tiles);
  const std::int64_t count = keys.end - keys.begin;
  add_transposed_rows(k.k_rows + keys.begin * width, width, tiles.ds, count, q.dq_t + at_query);
  add_key_rows(tiles.p, count / kPanel, q.dout_rows + at_query, width, k.dv + keys.begin * width);
  add_key_rows(tiles.ds, count / kPanel, q.q_rows + at_query, width, k.dk + keys.begin * width);
}

struct Gradients {
  HeadRows out, dout, dq, dk, dv;
};

void set_queries(const AttentionCall& call, const QueryRows& which, const Gradients& views, const QuerySide& q) {
  const std::int64_t width = call.padded_width, at = which.first * width;
  float *rows = q.q_rows + at, *dout = q.dout_rows + at;
  pack_queries(call, views.out, which, rows);
  pack_queries(call, views.dout, which, dout);
  const float* lse = call.lse_row(which.sequence, which.head);
  for (std::int64_t i = 0; i < kQueries; ++i) {
    Vec products{};
    for (std::int64_t d = 0; d < width; d += kLanes) products += load(rows + i * width + d) * load(dout + i * width + d);
    q.delta[which.first + i] = sum_of(products);
    q.shift[which.first + i] = which.first + i < call.queries ? lse[which.first + i] * kLog2e : 0.0f;
  }
  pack_queries(call, call.q, which, rows);
  transpose_queries(rows, width, call.scale * kLog2e, q.qt + at);
  transpose_queries(dout, width, 1, q.dout_t + at);
  Line(rows, kQueries * width) *= call.scale;
  std::fill_n(q.dq_t + at, width * kQueries, 0.0f);
}

/// All queries of one head against all keys of the head that it reads.
void backward_head(const AttentionCall& call, const Gradients& views, const BlockMask* masks, const QueryRows& head,
                   const KeySide& k, const QuerySide& q, const Tiles& tiles) {
  QueryRows which = head;
  for (which.first = 0; which.first < call.queries; which.first += kQueries) set_queries(call, which, views, q);
  for (std::int64_t key = 0; key < call.padded_keys; key += kTileKeys) {
    for (which.first = 0; which.first < call.queries; which.first += kQueries) {
      const BlockMask& mask = masks[which.first / kQueries];
      const KeyRange keys{std::max(key, mask.begin()), std::min(key + kTileKeys, mask.end())};
      if (keys.begin < keys.end) cross(call, mask, which, keys, k, q, tiles);
    }
  }
  alignas(64) float factors[kQueries];
  std::fill_n(factors, kQueries, call.scale);
  for (which.first = 0; which.first < call.queries; which.first += kQueries) {
    float* rows = q.q_rows + which.first * call.padded_width;
    transpose_back(q.dq_t + which.first * call.padded_width, call.padded_width, factors, rows);
    unpack_queries(call, rows, which, views.dq);
  }
}

void unpack_rows(const AttentionCall& call, const float* rows, std::int64_t sequence, std::int64_t head,
                 const HeadRows& to) {
  for (std::int64_t j = 0; j < call.keys; ++j) {
    std::copy_n(rows + j * call.padded_width, call.width, to.row(sequence, j, head));
  }
}

/// The heads that read key/value head g of sequence b.
void backward_group(const AttentionCall& call, const Gradients& views, std::int64_t b, std::int64_t g,
                    Workspace& scratch) {
  const std::int64_t blocks = (call.queries + kQueries - 1) / kQueries;
  const auto keys = static_cast<std::size_t>(panels_size(call));
  const auto rows = static_cast<std::size_t>(blocks * kQueries), queries = rows * static_cast<std::size_t>(call.padded_width);
  const std::size_t masks_size = static_cast<std::size_t>(blocks) * sizeof(BlockMask) / sizeof(float);
  constexpr std::size_t kTile = kTileKeys * kQueries;
  scratch.begin(5 * keys + 5 * queries + 2 * rows + 3 * kTile + masks_size, 16);
  const KeySide k{scratch.take(keys), scratch.take(keys), scratch.take(keys), scratch.take(keys), scratch.take(keys)};
  const QuerySide q{scratch.take(queries), scratch.take(queries), scratch.take(queries), scratch.take(queries),
                    scratch.take(queries), scratch.take(rows),    scratch.take(rows)};
  const Tiles tiles{scratch.take(kTile), scratch.take(kTile), scratch.take(kTile)};
  auto* masks = reinterpret_cast<BlockMask*>(scratch.take(masks_size));
  for (std::int64_t block = 0; block < blocks; ++block) new (masks + block) BlockMask(call, b, block * kQueries);
  pack_panels(call, call.k, {b, g}, q.q_rows, k.k);
  pack_panels(call, call.v, {b, g}, q.q_rows, k.v);
  pack_rows(call, call.k, {b, g}, k.k_rows);
  std::fill_n(k.dk, keys, 0.0f);
  std::fill_n(k.dv, keys, 0.0f);
  for (std::int64_t head = g * call.heads_per_kv(); head < (g + 1) * call.heads_per_kv(); ++head) {
    backward_head(call, views, masks, {b, head, 0}, k, q, tiles);
  }
  unpack_rows(call, k.dk, b, g, views.dk);
  unpack_rows(call, k.dv, b, g, views.dv);
}

}  // namespace

void HostOps::attention_backward(const AttentionBackward& args) {
  const Call check("attention_backward");
  const AttentionCall call(check, args);
  const std::int64_t q_shape[4] = {call.batch, call.queries, call.heads, call.width};
  const std::int64_t k_shape[4] = {call.batch, call.keys, call.kv_heads, call.width};
  const Gradients views{head_rows(check, "out", args.out, q_shape), head_rows(check, "dout", args.dout, q_shape),
                        head_rows(check, "dq", args.dq, q_shape), head_rows(check, "dk", args.dk, k_shape),
                        head_rows(check, "dv", args.dv, k_shape)};
  for_each(call.batch * call.kv_heads, [&](std::int64_t item, std::int64_t worker) {
    backward_group(call, views, item / call.kv_heads, item % call.kv_heads, workspace(worker));
  });
}

}  // namespace caravan::host
