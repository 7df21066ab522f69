#include "attention_dropout.hpp"

#include <algorithm>

#include "attention_tile.hpp"
#include "dropout.hpp"

namespace caravan::host {
namespace {

/// visit(key of the tile, query, factor) for each key and each query that there is.
template <class Visit>
void for_each_factor(const AttentionCall& call, const QueryRows& which, const KeyRange& keys,
                     const Visit& visit) {
  const auto row = static_cast<std::uint64_t>(call.dropout.first_sample + which.sequence);
  const std::int64_t queries = std::min<std::int64_t>(kQueries, call.queries - which.first);
  const std::int64_t count = std::min(keys.end, call.keys) - keys.begin;
  for (std::int64_t i = 0; i < queries; ++i) {
    const std::int64_t query = call.mask.first_query + which.first + i, length = call.dropout.global_length;
    const std::int64_t head = call.dropout.first_head + which.head;
    const std::int64_t start = (head * length + query) * length + call.mask.first_key + keys.begin;
    float factors[kTileKeys];
    dropout_factors(call.dropout.key, {row, static_cast<std::uint64_t>(start), count},
                    call.dropout.probability, factors);
    for (std::int64_t j = 0; j < count; ++j) visit(j, i, factors[j]);
  }
}

}  // namespace

void dropout_tile(const AttentionCall& call, const QueryRows& which, const KeyRange& keys, float* factors) {
  for (std::int64_t key = 0; key < keys.end - keys.begin; ++key)
    std::fill_n(factors + key * kTileQueries, kQueries, 0.0f);
  for_each_factor(call, which, keys, [&](std::int64_t key, std::int64_t query, float factor) {
    factors[key * kTileQueries + query] = factor;
  });
}

void drop_tile(const AttentionCall& call, const QueryRows& which, const KeyRange& keys, float* tile) {
  for_each_factor(call, which, keys, [&](std::int64_t key, std::int64_t query, float factor) {
    tile[key * kQueries + query] *= factor;
  });
}

}  // namespace caravan::host
