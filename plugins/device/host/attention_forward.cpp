#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "attention_dropout.hpp"
#include "attention_mask.hpp"
#include "attention_pack.hpp"
#include "attention_single.hpp"
#include "host_ops.hpp"
#include "parallel.hpp"

namespace caravan::host {
namespace {

/// One block of queries on its way over the keys: scores are in units of log2, so that e^x is 2^x.
struct ForwardBlock {
  const float *k, *v;          ///< panels, and rows
  float* qt;                   ///< [padded_width][kQueries], times scale·log2(e)
  float* out_t;                ///< [padded_width][kQueries], not yet divided by the sum
  float* tile;                 ///< [kTileKeys][kQueries]
  float* rows;                 ///< [kQueries][padded_width]
  Vec shift[kQueryVectors];    ///< what the exponent is taken relative to
  Vec maximum[kQueryVectors];  ///< of the scores seen, where that is followed
  Vec sum[kQueryVectors];
};

/// Cauchy–Schwarz bounds a score by |q|·|k|. When that is small, as after a norm of q and k, it serves as the
/// shift of the softmax for the whole row: every exponent is then within [-120, 0] and no maximum needs to be
/// followed.
constexpr float kLargestShift = 60;

/// shift = |q|·|k|max; whether all of them are small enough.
bool bound_scores(const AttentionCall& call, float largest_key, ForwardBlock& block) {
  float largest = 0;
  for (int n = 0; n < kQueryVectors; ++n) {
    Vec squares{};
    for (std::int64_t d = 0; d < call.padded_width; ++d) {
      const Vec x = load(block.qt + d * kQueries + n * kLanes);
      squares += x * x;
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      block.shift[n][lane] = std::sqrt(squares[lane] * largest_key);
      if (!(block.shift[n][lane] <= largest)) largest = block.shift[n][lane];
    }
  }
  return largest <= kLargestShift;
}

/// tile = 2^(score − shift), 0 where a key is hidden; adds to the sums.
template <Visibility kSees>
void probability_panel(const AttentionCall& call, const BlockMask& mask, std::int64_t key,
                       ForwardBlock& block, float* tile) {
  Block<kPanel, kQueryVectors> s;
  Vec sum[kQueryVectors] = {};
#pragma GCC unroll 16
  for (int m = 0; m < kPanel; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < kQueryVectors; ++n) s[m][n] = -block.shift[n];
  }
  add_scores(s, call.padded_width, block.k + key * call.padded_width, block.qt);
#pragma GCC unroll 16
  for (int m = 0; m < kPanel; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < kQueryVectors; ++n) {
      Vec p = exp2_finite(s[m][n]);
      if constexpr (kSees == Visibility::some) p = keep_visible(p, mask.visible(key + m, n));
      sum[n] += p;
      store(tile + m * kQueries + n * kLanes, p);
    }
  }
  for (int n = 0; n < kQueryVectors; ++n) block.sum[n] += sum[n];
}

/// tile = score, follows the maximum; hidden keys do not count.
void score_panel(const AttentionCall& call, const BlockMask& mask, std::int64_t key, ForwardBlock& block,
                 float* tile) {
  Block<kPanel, kQueryVectors> s;
  clear(s);
  add_scores(s, call.padded_width, block.k + key * call.padded_width, block.qt);
  store_block(s, tile, kQueries);
  for (int m = 0; m < kPanel; ++m) {
    for (int n = 0; n < kQueryVectors; ++n) {
      const IntVec seen = mask.visible(key + m, n);
      const Vec score = load(tile + m * kQueries + n * kLanes);
      block.maximum[n] = larger(seen ? score : block.maximum[n], block.maximum[n]);
    }
  }
}

/// Makes room for a larger maximum: what was summed so far shrinks by 2^(old − new).
void raise_shift(const AttentionCall& call, ForwardBlock& block) {
  for (int n = 0; n < kQueryVectors; ++n) {
    const Vec shrink = exp2_finite(block.shift[n] - block.maximum[n]);
    block.shift[n] = block.maximum[n];
    block.sum[n] *= shrink;
    for (std::int64_t d = 0; d < call.padded_width; ++d) {
      float* at = block.out_t + d * kQueries + n * kLanes;
      store(at, load(at) * shrink);
    }
  }
}

/// The general softmax of one tile: scores, maximum, rescaling, exponentials.
void online_tile(const AttentionCall& call, const BlockMask& mask, std::int64_t key, std::int64_t end,
                 ForwardBlock& block) {
  for (int n = 0; n < kQueryVectors; ++n) block.maximum[n] = block.shift[n];
  for (std::int64_t j = key; j < end; j += kPanel) {
    score_panel(call, mask, j, block, block.tile + (j - key) * kQueries);
  }
  raise_shift(call, block);
  for (std::int64_t j = key; j < end; ++j) {
    for (int n = 0; n < kQueryVectors; ++n) {
      float* at = block.tile + (j - key) * kQueries + n * kLanes;
      const Vec p = keep_visible(exp2_finite(load(at) - block.shift[n]), mask.visible(j, n));
      block.sum[n] += p;
      store(at, p);
    }
  }
}

void bounded_tile(const AttentionCall& call, const BlockMask& mask, std::int64_t key, std::int64_t end,
                  ForwardBlock& block) {
  for (std::int64_t j = key; j < end; j += kPanel) {
    float* tile = block.tile + (j - key) * kQueries;
    if (mask.panel(j) == Visibility::all) {
      probability_panel<Visibility::all>(call, mask, j, block, tile);
    } else {
      probability_panel<Visibility::some>(call, mask, j, block, tile);
    }
  }
}

/// ln of a sum of powers of two, each less by `shift`. In double, since the two nearly cancel where scores
/// are far from their bound; -inf for no sum.
double log_of(float sum, float shift) {
  return (double{shift} + std::log2(double{sum})) * std::numbers::ln2;
}

/// What one query is multiplied by: the sums of these keys, and what is there of others.
struct Shares {
  float own, others;
};

/// lse becomes that of both. In double, since errors of several merges add up.
Shares merge(float own_sum, float own_shift, float& lse) {
  if (own_sum == 0) return {0, 1};
  const double own = log_of(own_sum, own_shift), others = lse;
  const double largest = std::max(own, others);
  const double own_part = std::exp(own - largest), other_part = std::exp(others - largest);
  const double both = own_part + other_part;
  lse = static_cast<float>(largest + std::log(both));
  return {static_cast<float>(own_part / both / own_sum), static_cast<float>(other_part / both)};
}

/// Of all keys, `out` and lse are replaced.
void finish_all(const AttentionCall& call, const QueryRows& which, const HeadRows& out, ForwardBlock& block) {
  alignas(64) float factors[kQueries];
  float* lse = call.lse_row(which.sequence, which.head);
  for (int lane = 0; lane < kQueries; ++lane) {
    const float sum = block.sum[lane / kLanes][lane % kLanes],
                shift = block.shift[lane / kLanes][lane % kLanes];
    factors[lane] = sum == 0 ? 0 : 1 / sum;
    if (which.first + lane >= call.queries) continue;
    lse[which.first + lane] = static_cast<float>(log_of(sum, shift));
  }
  transpose_back(block.out_t, call.padded_width, factors, block.rows);
  unpack_queries(call, block.rows, which, out);
}

/// Of further keys, they are merged with.
void finish_more(const AttentionCall& call, const QueryRows& which, const HeadRows& out,
                 ForwardBlock& block) {
  alignas(64) float factors[kQueries] = {};
  float* lse = call.lse_row(which.sequence, which.head);
  for (int lane = 0; lane < kQueries && which.first + lane < call.queries; ++lane) {
    const std::int64_t query = which.first + lane;
    const Shares shares =
        merge(block.sum[lane / kLanes][lane % kLanes], block.shift[lane / kLanes][lane % kLanes], lse[query]);
    factors[lane] = shares.own;
    Line(out.row(which.sequence, query, which.head), call.width) *= shares.others;
  }
  transpose_back(block.out_t, call.padded_width, factors, block.rows);
  add_queries(call, block.rows, which, out);
}

void forward_block(const AttentionCall& call, const QueryRows& which, float largest_key,
                   ForwardBlock& block) {
  pack_queries(call, call.q, which, block.rows);
  transpose_queries(block.rows, call.padded_width, call.scale * std::numbers::log2e_v<float>, block.qt);
  std::fill_n(block.out_t, call.padded_width * kQueries, 0.0f);
  const bool bounded = bound_scores(call, largest_key, block);
  for (int n = 0; n < kQueryVectors; ++n) {
    block.sum[n] = Vec{};
    if (!bounded) block.shift[n] = broadcast(-1e30f);
  }
  const BlockMask mask(call, which.sequence, which.first);
  for (std::int64_t key = mask.begin(); key < mask.end(); key += kTileKeys) {
    const std::int64_t end = std::min(key + kTileKeys, mask.end());
    bounded ? bounded_tile(call, mask, key, end, block) : online_tile(call, mask, key, end, block);
    if (call.dropout.probability > 0) drop_tile(call, which, {key, end}, block.tile);
    add_transposed_rows(block.v + key * call.padded_width, call.padded_width,
                        {block.tile, end - key, kQueries}, block.out_t);
  }
}

}  // namespace

void HostOps::attention_forward(const AttentionForward& args) {
  const Call check("attention_forward");
  const AttentionCall call(check, args);
  const HeadRows out = head_rows(check, "out", args.out, {call.batch, call.queries, call.heads, call.width});
  if (call.queries <= kSingleQueries && call.dropout.probability == 0 && !call.adds)
    return attention_single(call, out, team_, workspaces_);
  const auto keys = static_cast<std::size_t>(panels_size(call));
  const auto queries = static_cast<std::size_t>(call.padded_width * kQueries);
  team_.for_each(
      call.batch * call.kv_heads, call.queries * call.keys, [&](std::int64_t item, std::int64_t worker) {
        const std::int64_t b = item / call.kv_heads, g = item % call.kv_heads;
        Workspace& scratch = workspace(worker);
        scratch.begin(2 * keys + 3 * queries + kTileKeys * kQueries, 6);
        float *k = scratch.take(keys), *v = scratch.take(keys);
        ForwardBlock block{k,
                           v,
                           scratch.take(queries),
                           scratch.take(queries),
                           scratch.take(kTileKeys * kQueries),
                           scratch.take(queries),
                           {},
                           {},
                           {}};
        pack_panels(call, call.k, {b, g}, block.rows, k);
        pack_rows(call, call.v, {b, g}, v);
        const float largest_key = largest_square(call, k);
        for (std::int64_t head = g * call.heads_per_kv(); head < (g + 1) * call.heads_per_kv(); ++head) {
          for (std::int64_t first = 0; first < call.queries; first += kQueries) {
            const QueryRows which{b, head, first};
            forward_block(call, which, largest_key, block);
            (call.adds ? finish_more : finish_all)(call, which, out, block);
          }
        }
      });
}

}  // namespace caravan::host
