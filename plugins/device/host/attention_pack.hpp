#pragma once

#include <cstdint>

#include "attention_call.hpp"
#include "attention_tile.hpp"

namespace caravan::host {

// Keys and values of one head are copied next to each other: rows of a [T, heads·D] matrix lie a multiple of
// the cache's sets apart and would push each other out.

struct KeyHead {
  std::int64_t sequence, head;
};

/// rows[key][d], zeros beyond width and keys.
void pack_rows(const AttentionCall& call, const HeadRows& from, const KeyHead& which, float* rows);
/// Floats that packed panels need.
std::int64_t panels_size(const AttentionCall& call);
/// panels[key / kPanel][d][key % kPanel], zeros beyond width and keys: what a block of scores broadcasts is
/// adjacent. `scratch`: (kPanel + 1)·padded_width floats.
void pack_panels(const AttentionCall& call, const HeadRows& from, const KeyHead& which, float* scratch,
                 float* panels);
/// The largest squared norm of a row of packed panels.
float largest_square(const AttentionCall& call, const float* panels);

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
/// The same rows, added to what is there.
void add_queries(const AttentionCall& call, const float* rows, const QueryRows& which, const HeadRows& to);

}  // namespace caravan::host
