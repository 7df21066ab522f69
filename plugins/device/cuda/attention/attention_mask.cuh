#pragma once

#include "plugins/device/cuda/attention/attention_args.hpp"

// Which keys a query sees, and what dropout does to the pair.
namespace caravan::cuda {

/// Keys [first, last] of one query; none when first > last.
struct KeyRange {
  int first, last;
};

__device__ inline KeyRange keys_of(const AttentionArgs& a, int query) {
  const std::int64_t position = a.first_query + query;
  const std::int64_t chunk_start = a.chunk > 0 ? position / a.chunk * a.chunk : 0;
  const std::int64_t first = max(chunk_start - a.first_key, std::int64_t{0});
  const std::int64_t last = min(position - a.first_key, std::int64_t{a.keys} - 1);
  return {static_cast<int>(min(first, std::int64_t{a.keys})), static_cast<int>(max(last, std::int64_t{-1}))};
}

/// Keys that any of the queries [begin, end) may see.
__device__ inline KeyRange keys_of_tile(const AttentionArgs& a, int begin, int end) {
  return {keys_of(a, begin).first, keys_of(a, end - 1).last};
}

/// Queries [first, last] that may see any of the keys [begin, end).
__device__ inline KeyRange queries_of_tile(const AttentionArgs& a, int begin, int end) {
  const std::int64_t first = max(a.first_key + begin - a.first_query, std::int64_t{0});
  std::int64_t last = a.queries - 1;
  if (a.chunk > 0) {
    const std::int64_t chunk_end = ((a.first_key + end - 1) / a.chunk + 1) * a.chunk;
    last = min(last, chunk_end - 1 - a.first_query);
  }
  return {static_cast<int>(min(first, std::int64_t{a.queries})),
          static_cast<int>(max(last, std::int64_t{-1}))};
}

struct DocumentRange {
  std::int32_t lowest, highest;
};

/// Documents of the queries and of the keys of one sequence; null: it is one.
struct Documents {
  const std::int32_t *queries, *keys;
  __device__ explicit operator bool() const { return queries != nullptr; }
};

__device__ inline Documents documents_of(const AttentionArgs& a, int b) {
  if (!a.query_documents.data) return {nullptr, nullptr};
  return {a.query_documents.data + b * a.query_documents.stride,
          a.key_documents.data + b * a.key_documents.stride};
}

__device__ inline DocumentRange range_of_documents(const std::int32_t* documents, int begin, int end) {
  DocumentRange range{documents[begin], documents[begin]};
  for (int i = begin + 1; i < end; ++i) {
    range.lowest = min(range.lowest, documents[i]);
    range.highest = max(range.highest, documents[i]);
  }
  return range;
}

/// Whether any of the rows [begin, end) has a document in `range`. All threads of the block call it, and
/// there are at least as many threads as rows.
__device__ inline bool any_document_in(const std::int32_t* documents, const DocumentRange& range, int begin,
                                       int end) {
  const int row = begin + static_cast<int>(threadIdx.x);
  return __syncthreads_or(row < end && documents[row] >= range.lowest && documents[row] <= range.highest);
}

/// What dropout multiplies the probability of (query, key) by. Not inlined: ten rounds of Philox at each of a
/// thread's unrolled elements would fill the instruction cache.
__device__ __noinline__ inline float kept(const AttentionArgs& a, int b, int head, int query, int key) {
  const std::int64_t column =
      ((a.dropout_head + head) * a.dropout_length + a.first_query + query) * a.dropout_length + a.first_key +
      key;
  return dropout_factor(a.dropout_key, static_cast<std::uint64_t>(a.dropout_sample + b),
                        static_cast<std::uint64_t>(column), a.dropout);
}

}  // namespace caravan::cuda
