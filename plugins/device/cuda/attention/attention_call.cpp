#include "plugins/device/cuda/attention/attention_call.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace caravan::cuda {
namespace {

struct HeadShape {
  std::int64_t batch, rows, heads, width;
};

HeadRows head_rows(const Call& call, const char* name, const TensorView& view, DType type,
                   const HeadShape& shape) {
  call.check(name, view, {type, 4, {shape.batch, shape.rows, shape.heads, shape.width}});
  return {view.data, view.stride(0), view.stride(1), view.stride(2)};
}

/// Every head of every row starts where four elements can be read at once.
bool allows_vectors(const HeadRows& rows, DType type) {
  const std::size_t bytes = 4 * size_of(type);
  return reinterpret_cast<std::uintptr_t>(rows.data) % bytes == 0 && rows.batch % 4 == 0 &&
         rows.row % 4 == 0 && rows.head % 4 == 0;
}

HeadShape query_shape(const AttentionArgs& a) {
  return {a.batch, a.queries, a.heads, a.width};
}
HeadShape key_shape(const AttentionArgs& a) {
  return {a.batch, a.keys, a.kv_heads, a.width};
}

void check_extents(const Call& call, const AttentionArgs& a) {
  if (a.kv_heads == 0 || a.heads % a.kv_heads != 0) {
    call.fail(fmt::format("{} query heads on {} key/value heads (must be a multiple)", a.heads, a.kv_heads));
  }
  if (a.width > kWidestHead) {
    call.fail(fmt::format("head width {} (kernels here hold up to {})", a.width, kWidestHead));
  }
  constexpr std::int64_t kMostBlocks = 65535;
  if (a.batch > kMostBlocks || a.heads > kMostBlocks) {
    call.fail(fmt::format("{} sequences of {} heads (at most {} each)", a.batch, a.heads, kMostBlocks));
  }
}

DocumentRows document_rows(const Call& call, const char* name, const TensorView& view, const Shape& shape) {
  const Matrix documents = call.matrix(name, view, DType::i32, shape[0], shape[1]);
  return {documents.as<std::int32_t>(), documents.stride};
}

void take_mask(const Call& call, const AttentionMask& mask, AttentionArgs& a) {
  a.first_query = mask.first_query;
  a.first_key = mask.first_key;
  a.chunk = mask.chunk;
  if (const std::string problem = problem_with(mask); !problem.empty()) call.fail(problem);
  if (mask.query_documents.empty()) return;
  a.query_documents = document_rows(call, "query_documents", mask.query_documents, {a.batch, a.queries});
  a.key_documents = document_rows(call, "key_documents", mask.key_documents, {a.batch, a.keys});
}

/// Queries, keys and the mask.
template <class Args>
AttentionArgs check_logits(const Call& call, const Args& args) {
  AttentionArgs a;
  a.dtype = call.compute_type("q", args.q);
  a.q = head_rows(call, "q", args.q, a.dtype, {kAny, kAny, kAny, kAny});
  a.batch = static_cast<int>(args.q.extent(0)), a.queries = static_cast<int>(args.q.extent(1));
  a.heads = static_cast<int>(args.q.extent(2)), a.width = static_cast<int>(args.q.extent(3));
  a.k = head_rows(call, "k", args.k, a.dtype, {a.batch, kAny, kAny, a.width});
  a.keys = static_cast<int>(args.k.extent(1)), a.kv_heads = static_cast<int>(args.k.extent(2));
  a.scale = args.scale;
  check_extents(call, a);
  take_mask(call, args.mask, a);
  a.vectors = a.width % 4 == 0 && allows_vectors(a.q, a.dtype) && allows_vectors(a.k, a.dtype);
  return a;
}

template <class Args>
AttentionArgs check_shared(const Call& call, const Args& args) {
  AttentionArgs a = check_logits(call, args);
  a.v = head_rows(call, "v", args.v, a.dtype, key_shape(a));
  a.out = head_rows(call, "out", args.out, a.dtype, query_shape(a));
  call.check("lse", args.lse, {DType::f32, 3, {a.batch, a.heads, a.queries}});
  a.lse = args.lse.template as<float>();
  a.lse_batch = args.lse.stride(0), a.lse_head = args.lse.stride(1);
  a.adds = args.adds;
  a.dropout = args.dropout.probability;
  a.dropout_key = args.dropout.key;
  a.dropout_sample = args.dropout.first_sample, a.dropout_length = args.dropout.global_length;
  a.dropout_head = args.dropout.first_head;
  const std::string problem = problem_with(args.dropout, args.mask, a.queries, a.keys);
  if (!problem.empty()) call.fail(problem);
  a.vectors = a.vectors && allows_vectors(a.v, a.dtype) && allows_vectors(a.out, a.dtype);
  return a;
}

}  // namespace

AttentionArgs check_attention(const Call& call, const LargestLogits& args) {
  return check_logits(call, args);
}

AttentionArgs check_attention(const Call& call, const AttentionForward& args) {
  return check_shared(call, args);
}

AttentionArgs check_attention(const Call& call, const AttentionBackward& args) {
  AttentionArgs a = check_shared(call, args);
  a.dout = head_rows(call, "dout", args.dout, a.dtype, query_shape(a));
  a.dq = head_rows(call, "dq", args.dq, a.dtype, query_shape(a));
  a.dk = head_rows(call, "dk", args.dk, a.dtype, key_shape(a));
  a.dv = head_rows(call, "dv", args.dv, a.dtype, key_shape(a));
  a.vectors = a.vectors && allows_vectors(a.dout, a.dtype);
  return a;
}

}  // namespace caravan::cuda
