#include "attention_call.hpp"

#include <fmt/format.h>

#include "attention_tile.hpp"

namespace caravan::host {

HeadRows head_rows(const Call& call, const char* name, const TensorView& view,
                   const std::int64_t (&shape)[4]) {
  call.check(name, view, {DType::f32, 4, {shape[0], shape[1], shape[2], shape[3]}});
  return {view.as<float>(), view.stride(0), view.stride(1), view.stride(2)};
}

void AttentionCall::take(const Call& call, const TensorView& q_view, const TensorView& k_view) {
  q = head_rows(call, "q", q_view, {kAny, kAny, kAny, kAny});
  batch = q_view.extent(0);
  queries = q_view.extent(1);
  heads = q_view.extent(2);
  width = q_view.extent(3);
  k = head_rows(call, "k", k_view, {batch, kAny, kAny, width});
  keys = k_view.extent(1);
  kv_heads = k_view.extent(2);
  if (kv_heads == 0 || heads % kv_heads != 0) {
    call.fail(fmt::format("{} query heads on {} key/value heads (must be a multiple)", heads, kv_heads));
  }
  if (const std::string problem = problem_with(dropout, mask, queries, keys); !problem.empty())
    call.fail(problem);
  padded_width = (width + kLanes - 1) / kLanes * kLanes;
  padded_keys = (keys + kPanel - 1) / kPanel * kPanel;
  if (const std::string problem = problem_with(mask); !problem.empty()) call.fail(problem);
  if (mask.query_documents.empty()) return;
  query_documents = call.index_matrix("query_documents", mask.query_documents, batch, queries);
  key_documents = call.index_matrix("key_documents", mask.key_documents, batch, keys);
}

void AttentionCall::take_results(const Call& call, const TensorView& v_view, const TensorView& lse_view) {
  v = head_rows(call, "v", v_view, {batch, keys, kv_heads, width});
  call.check("lse", lse_view, {DType::f32, 3, {batch, heads, queries}});
  lse = lse_view.as<float>();
  lse_batch_stride = lse_view.stride(0);
  lse_head_stride = lse_view.stride(1);
}

}  // namespace caravan::host
