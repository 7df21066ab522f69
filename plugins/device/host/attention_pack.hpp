#pragma once

#include <cstdint>

#include "attention_call.hpp"
#include "attention_tile.hpp"

namespace caravan::host {

/// Copies keys or values of one head next to each other, rows padded_width apart, zeros beyond width and keys: rows of
/// a [T, heads·D] matrix lie a multiple of the cache's sets apart and would push each other out.
void pack_rows(const AttentionCall& call, const HeadRows& from, std::int64_t sequence, std::int64_t head, float* to);

/// The queries [first, first + kQueries) of `head`: rows[query][d], zeros beyond width and the last query.
struct QueryRows {
  std::int64_t sequence, head, first;
};
void pack_queries(const AttentionCall& call, const HeadRows& from, const QueryRows& which, float* rows);

/// to[d][query] = factor·rows[query][d]
void transpose_queries(const float* rows, std::int64_t width, float factor, float* to);
/// rows[query][d] = factors[query]·from[d][query]
void transpose_back(const float* from, std::int64_t width, const float* factors, float* rows);
/// The inverse of pack_queries.
void unpack_queries(const AttentionCall& call, const float* rows, const QueryRows& which, const HeadRows& to);

/// The largest squared norm of `count` rows.
float largest_square(const float* rows, std::int64_t count, std::int64_t width);

}  // namespace caravan::host
