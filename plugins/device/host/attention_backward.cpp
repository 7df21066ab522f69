#include <algorithm>
#include <cmath>

#include "attention_dropout.hpp"
#include "attention_mask.hpp"
#include "attention_pack.hpp"
#include "host_ops.hpp"
#include "parallel.hpp"

namespace caravan::host {
namespace {

constexpr float kLog2e = 1.44269504088896340736f;

/// One block of queries on its way over the keys.
struct BackwardBlock {
  const float *k, *v;         ///< packed
  float *dk, *dv;             ///< packed, added to
  float *q_rows, *dout_rows;  ///< [kQueries][padded_width]; q times scale
  float *qt, *dout_t;         ///< [padded_width][kQueries]; q times scale·log2(e)
  float* dq_t;                ///< [padded_width][kQueries], to be multiplied by scale
  float *p, *ds;              ///< [kTileKeys][kQueries]
  float* kept;                ///< the same, with dropout
  Vec shift[kQueryVectors];   ///< lse in units of log2
  Vec delta[kQueryVectors];   ///< Σ_d dout·out
};

/// p = 2^(score − lse), 0 where a key is hidden; then ds = p·(v·dout − delta).
template <Visibility kSees>
CARAVAN_INLINE void gradient_panel(const AttentionCall& call, const BlockMask& mask, std::int64_t key,
                                   const BackwardBlock& block, std::int64_t offset) {
  const std::int64_t width = call.padded_width;
  Block<kPanel, kQueryVectors> s;
#pragma GCC unroll 16
  for (int m = 0; m < kPanel; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < kQueryVectors; ++n) s[m][n] = -block.shift[n];
  }
  multiply_add(s, width, {block.k + key * width, width, 1}, {block.qt, kQueries});
#pragma GCC unroll 16
  for (int m = 0; m < kPanel; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < kQueryVectors; ++n) {
      Vec p = exp2_bounded(s[m][n]);
      if constexpr (kSees == Visibility::some) p = keep_visible(p, mask.visible(key + m, n));
      store(block.p + offset + m * kQueries + n * kLanes, p);
      s[m][n] = -block.delta[n];
    }
  }
  multiply_add(s, width, {block.v + key * width, width, 1}, {block.dout_t, kQueries});
#pragma GCC unroll 16
  for (int m = 0; m < kPanel; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < kQueryVectors; ++n) {
      const std::int64_t at = offset + m * kQueries + n * kLanes;
      store(block.ds + at, s[m][n] * load(block.p + at));
    }
  }
}

/// With dropout the gradient of a probability is kept·(v·dout), and what v is multiplied by is kept·p.
/// gradient_panel made ds = p·(v·dout − delta), so p·kept·(v·dout) = kept·(ds + p·delta).
void apply_dropout(const AttentionCall& call, const QueryRows& which, const KeyRange& keys,
                   const BackwardBlock& block) {
  dropout_tile(call, which, keys, block.kept);
  for (std::int64_t j = 0; j < keys.end - keys.begin; ++j) {
    for (int n = 0; n < kQueryVectors; ++n) {
      const std::int64_t at = j * kQueries + n * kLanes;
      const Vec p = load(block.p + at), kept = load(block.kept + at);
      const Vec shared = p * block.delta[n];
      store(block.ds + at, kept * (load(block.ds + at) + shared) - shared);
      store(block.p + at, p * kept);
    }
  }
}

void set_block(const AttentionCall& call, const QueryRows& which, const HeadRows& out, const HeadRows& dout,
               BackwardBlock& block) {
  const std::int64_t width = call.padded_width;
  pack_queries(call, out, which, block.q_rows);
  pack_queries(call, dout, which, block.dout_rows);
  const float* lse = call.lse_row(which.sequence, which.head);
  for (int lane = 0; lane < kQueries; ++lane) {
    Vec products{};
    for (std::int64_t d = 0; d < width; d += kLanes) {
      products += load(block.q_rows + lane * width + d) * load(block.dout_rows + lane * width + d);
    }
    block.delta[lane / kLanes][lane % kLanes] = sum_of(products);
    const bool exists = which.first + lane < call.queries;
    block.shift[lane / kLanes][lane % kLanes] = exists ? lse[which.first + lane] * kLog2e : 0.0f;
  }
  pack_queries(call, call.q, which, block.q_rows);
  transpose_queries(block.q_rows, width, call.scale * kLog2e, block.qt);
  transpose_queries(block.dout_rows, width, 1, block.dout_t);
  Line(block.q_rows, kQueries * width) *= call.scale;
  std::fill_n(block.dq_t, width * kQueries, 0.0f);
}

void backward_block(const AttentionCall& call, const QueryRows& which, BackwardBlock& block) {
  const std::int64_t width = call.padded_width;
  const BlockMask mask(call, which.sequence, which.first);
  for (std::int64_t key = mask.begin(); key < mask.end(); key += kTileKeys) {
    const std::int64_t end = std::min(key + kTileKeys, mask.end());
    for (std::int64_t j = key; j < end; j += kPanel) {
      if (mask.panel(j) == Visibility::all) {
        gradient_panel<Visibility::all>(call, mask, j, block, (j - key) * kQueries);
      } else {
        gradient_panel<Visibility::some>(call, mask, j, block, (j - key) * kQueries);
      }
    }
    if (call.dropout.probability > 0) apply_dropout(call, which, {key, end}, block);
    add_transposed_rows(block.k + key * width, width, block.ds, end - key, block.dq_t);
    add_key_rows(block.p, (end - key) / kPanel, block.dout_rows, width, block.dv + key * width);
    add_key_rows(block.ds, (end - key) / kPanel, block.q_rows, width, block.dk + key * width);
  }
}

void unpack_rows(const AttentionCall& call, const float* rows, std::int64_t sequence, std::int64_t head,
                 const HeadRows& to) {
  for (std::int64_t j = 0; j < call.keys; ++j) {
    std::copy_n(rows + j * call.padded_width, call.width, to.row(sequence, j, head));
  }
}

struct Gradients {
  HeadRows out, dout, dq, dk, dv;
};

/// All queries of the heads that read key/value head g of sequence b.
void backward_group(const AttentionCall& call, const Gradients& views, std::int64_t b, std::int64_t g,
                    BackwardBlock& block) {
  alignas(64) float factors[kQueries];
  std::fill_n(factors, kQueries, call.scale);
  for (std::int64_t head = g * call.heads_per_kv(); head < (g + 1) * call.heads_per_kv(); ++head) {
    for (std::int64_t first = 0; first < call.queries; first += kQueries) {
      const QueryRows which{b, head, first};
      set_block(call, which, views.out, views.dout, block);
      backward_block(call, which, block);
      transpose_back(block.dq_t, call.padded_width, factors, block.q_rows);
      unpack_queries(call, block.q_rows, which, views.dq);
    }
  }
  unpack_rows(call, block.dk, b, g, views.dk);
  unpack_rows(call, block.dv, b, g, views.dv);
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
  const auto keys = static_cast<std::size_t>(call.padded_keys * call.padded_width);
  const auto queries = static_cast<std::size_t>(call.padded_width * kQueries);
  constexpr std::size_t kTile = kTileKeys * kQueries;
  for_each(call.batch * call.kv_heads, [&](std::int64_t item, std::int64_t worker) {
    const std::int64_t b = item / call.kv_heads, g = item % call.kv_heads;
    Workspace& scratch = workspace(worker);
    scratch.begin(4 * keys + 5 * queries + 3 * kTile, 12);
    float *k = scratch.take(keys), *v = scratch.take(keys), *dk = scratch.take(keys), *dv = scratch.take(keys);
    pack_rows(call, call.k, b, g, k);
    pack_rows(call, call.v, b, g, v);
    std::fill_n(dk, keys, 0.0f);
    std::fill_n(dv, keys, 0.0f);
    BackwardBlock block{k, v, dk, dv, scratch.take(queries), scratch.take(queries), scratch.take(queries),
                        scratch.take(queries), scratch.take(queries), scratch.take(kTile), scratch.take(kTile),
                        scratch.take(kTile), {}, {}};
    backward_group(call, views, b, g, block);
  });
}

}  // namespace caravan::host
