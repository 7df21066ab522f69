#pragma once

#include <cstdint>

#include "caravan/ops.hpp"
#include "view.hpp"

namespace caravan::host {

/// A [B, S, heads, D] view: row(b, i, head) is D adjacent floats.
struct HeadRows {
  float* data = nullptr;
  std::int64_t batch_stride = 0, row_stride = 0, head_stride = 0;

  float* row(std::int64_t b, std::int64_t i, std::int64_t head) const {
    return data + b * batch_stride + i * row_stride + head * head_stride;
  }
};

/// The checked arguments that forward and backward share.
struct AttentionCall {
  HeadRows q, k, v;
  float* lse = nullptr;
  std::int64_t lse_batch_stride = 0, lse_head_stride = 0;
  std::int64_t batch, queries, keys, heads, kv_heads;
  std::int64_t width;         ///< of a head
  std::int64_t padded_width;  ///< the same in whole vectors
  std::int64_t padded_keys;   ///< in whole panels
  AttentionMask mask;
  Rows<std::int32_t> query_documents, key_documents;
  AttentionDropout dropout;
  float scale;
  bool adds;

  template <class Args>
  AttentionCall(const Call& call, const Args& args)
      : mask(args.mask), dropout(args.dropout), scale(args.scale), adds(args.adds) {
    take(call, args.q, args.k);
    take_results(call, args.v, args.lse);
  }
  /// Queries and keys alone.
  AttentionCall(const Call& call, const LargestLogits& args)
      : mask(args.mask), scale(args.scale), adds(false) {
    take(call, args.q, args.k);
  }
  std::int64_t heads_per_kv() const { return heads / kv_heads; }
  float* lse_row(std::int64_t b, std::int64_t head) const {
    return lse + b * lse_batch_stride + head * lse_head_stride;
  }

 private:
  void take(const Call& call, const TensorView& q_view, const TensorView& k_view);
  void take_results(const Call& call, const TensorView& v_view, const TensorView& lse_view);
};

/// A further view of the shape [B, rows, heads, D].
HeadRows head_rows(const Call& call, const char* name, const TensorView& view,
                   const std::int64_t (&shape)[4]);

}  // namespace caravan::host
