#include <fmt/format.h>

#include <algorithm>

#include "caravan/ops/attention.hpp"

namespace caravan {

std::string problem_with(const QkPrepare& how) {
  const bool fits = how.heads >= 0 && how.kv_heads >= 0 && how.heads + how.kv_heads > 0 && how.head_dim > 0;
  return fits ? ""
              : fmt::format("heads {}, kv_heads {}, head_dim {} (there must be a head, of a width)",
                            how.heads, how.kv_heads, how.head_dim);
}

std::string problem_with(const AttentionMask& mask) {
  if (mask.query_documents.empty() == mask.key_documents.empty()) return {};
  return fmt::format("documents of {} alone (both or neither)",
                     mask.key_documents.empty() ? "queries" : "keys");
}

Crossing crossing(PositionRange queries, PositionRange keys, std::int64_t chunk) {
  if (queries.size() <= 0 || keys.size() <= 0 || keys.begin > queries.begin) return {};
  if (keys.begin == queries.begin || chunk == 0) return {queries, keys};
  const std::int64_t first = queries.begin / chunk * chunk;  // of the first query's chunk
  if (keys.end <= first) return {};
  return {{queries.begin, std::min(queries.end, first + chunk)}, {std::max(keys.begin, first), keys.end}};
}

std::string problem_with(const AttentionDropout& dropout, const AttentionMask& mask, std::int64_t queries,
                         std::int64_t keys) {
  if (!(dropout.probability >= 0 && dropout.probability < 1))
    return fmt::format("dropout probability {} (must be in [0, 1))", dropout.probability);
  const std::int64_t end = std::max(mask.first_query + queries, mask.first_key + keys);
  if (dropout.probability > 0 && end > dropout.global_length)
    return fmt::format("dropout at position {} (sequences have {} tokens)", end - 1, dropout.global_length);
  return {};
}

}  // namespace caravan
