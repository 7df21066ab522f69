#include <algorithm>
#include <limits>

#include "attention_mask.hpp"
#include "attention_pack.hpp"
#include "host_ops.hpp"
#include "parallel.hpp"

namespace caravan::host {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

/// A block of queries on its way over the keys of its head.
struct LogitBlock {
  const float* k;              ///< panels
  const float* qt;             ///< [padded_width][kQueries], times scale
  Vec maximum[kQueryVectors];  ///< of the logits seen
};

template <Visibility kSees>
void raise_by_panel(const AttentionCall& call, const BlockMask& mask, std::int64_t key, LogitBlock& block) {
  Block<kPanel, kQueryVectors> s;
  clear(s);
  add_scores(s, call.padded_width, block.k + key * call.padded_width, block.qt);
#pragma GCC unroll 16
  for (int m = 0; m < kPanel; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < kQueryVectors; ++n) {
      IntVec counts = s[m][n] > block.maximum[n];
      if constexpr (kSees == Visibility::some) counts &= mask.visible(key + m, n);
      block.maximum[n] = counts ? s[m][n] : block.maximum[n];
    }
  }
}

float largest_of_block(const AttentionCall& call, const QueryRows& which, LogitBlock& block) {
  const BlockMask mask(call, which.sequence, which.first);
  for (Vec& maximum : block.maximum) maximum = broadcast(kLowest);
  for (std::int64_t key = mask.begin(); key < mask.end(); key += kPanel) {
    if (mask.panel(key) == Visibility::all)
      raise_by_panel<Visibility::all>(call, mask, key, block);
    else
      raise_by_panel<Visibility::some>(call, mask, key, block);
  }
  // Lanes beyond the last query have products of zeros.
  const std::int64_t lanes = std::min<std::int64_t>(kQueries, call.queries - which.first);
  float largest = kLowest;
  for (std::int64_t lane = 0; lane < lanes; ++lane)
    largest = std::max(largest, block.maximum[lane / kLanes][lane % kLanes]);
  return largest;
}

}  // namespace

/// As attention_forward() goes over its tiles, each of which is forgotten at once.
void HostOps::largest_logits(const LargestLogits& args) {
  const Call check("largest_logits");
  const AttentionCall call(check, args);
  float* const largest = check.vector("largest", args.largest, call.heads);
  const auto keys = static_cast<std::size_t>(panels_size(call));
  const auto queries = static_cast<std::size_t>(call.padded_width * kQueries);
  const auto sequence_heads = static_cast<std::size_t>(call.batch * call.heads);
  shared_.begin(sequence_heads, 1);
  float* const found = shared_.take(sequence_heads);
  std::fill_n(found, sequence_heads, kLowest);
  team_.for_each(
      call.batch * call.kv_heads, call.queries * call.keys, [&](std::int64_t item, std::int64_t worker) {
        const std::int64_t b = item / call.kv_heads, g = item % call.kv_heads;
        Workspace& scratch = workspace(worker);
        scratch.begin(keys + 2 * queries, 3);
        float *k = scratch.take(keys), *qt = scratch.take(queries), *rows = scratch.take(queries);
        pack_panels(call, call.k, {b, g}, rows, k);
        LogitBlock block{k, qt, {}};
        for (std::int64_t head = g * call.heads_per_kv(); head < (g + 1) * call.heads_per_kv(); ++head) {
          float& most = found[b * call.heads + head];
          for (std::int64_t first = 0; first < call.queries; first += kQueries) {
            const QueryRows which{b, head, first};
            pack_queries(call, call.q, which, rows);
            transpose_queries(rows, call.padded_width, call.scale, qt);
            most = std::max(most, largest_of_block(call, which, block));
          }
        }
      });
  for (std::int64_t at = 0; at < call.batch * call.heads; ++at) {
    float& most = largest[at % call.heads];
    most = std::max(most, found[at]);
  }
}

}  // namespace caravan::host
