#include "jobs/bench/ops_attention.hpp"

#include <algorithm>
#include <cmath>

namespace caravan::jobs {
namespace {

/// Pairs of a query and a key that it sees: half of the square, and with chunks half of each chunk's.
double visible_pairs(const OpsShape& s) {
  const double span = static_cast<double>(s.chunk > 0 ? std::min(s.chunk, s.sequence) : s.sequence);
  return static_cast<double>(s.tokens()) * span / 2;
}

double forward_flops(const OpsShape& s) {
  return attention_flops(s, visible_pairs(s));
}

/// Queries, keys and values inside one matrix [T, (A+2G)·D], as the attention layer has them.
struct Inputs {
  TensorView qkv, q, k, v, out, lse;
  double q_bytes, qkv_bytes;
  float scale;
};

Inputs inputs(BenchMemory& memory, const OpsShape& s) {
  const std::int64_t columns = (s.heads + 2 * s.kv_heads) * s.head_dim;
  Inputs in;
  in.qkv = memory.random({s.tokens(), columns});
  const TensorView rows = in.qkv.reshape({s.batch, s.sequence, s.heads + 2 * s.kv_heads, s.head_dim});
  in.q = rows.slice(2, 0, s.heads);
  in.k = rows.slice(2, s.heads, s.heads + s.kv_heads);
  in.v = rows.slice(2, s.heads + s.kv_heads, s.heads + 2 * s.kv_heads);
  in.out = memory.output({s.batch, s.sequence, s.heads, s.head_dim});
  in.lse = memory.zeros(DType::f32, {s.batch, s.heads, s.sequence});
  in.q_bytes = memory.compute_bytes() * static_cast<double>(s.tokens() * s.heads * s.head_dim);
  in.qkv_bytes = memory.compute_bytes() * static_cast<double>(s.tokens() * columns);
  in.scale = attention_scale(s);
  return in;
}

AttentionForward forward_args(const Inputs& in, const OpsShape& s) {
  AttentionForward args;
  args.q = in.q;
  args.k = in.k;
  args.v = in.v;
  args.out = in.out;
  args.lse = in.lse;
  args.mask.chunk = s.chunk;
  args.scale = in.scale;
  return args;
}

OpCase attention_forward(BenchMemory& memory, const OpsShape& s) {
  const Inputs in = inputs(memory, s);
  return {in.qkv_bytes + in.q_bytes, forward_flops(s),
          [args = forward_args(in, s)](Ops& ops) { ops.attention_forward(args); }};
}

/// Without a norm the scores are large, and a device that bounds them by the norms has to follow the maximum.
OpCase attention_forward_large(BenchMemory& memory, const OpsShape& s) {
  Inputs in = inputs(memory, s);
  in.scale *= 16;
  return {in.qkv_bytes + in.q_bytes, forward_flops(s),
          [args = forward_args(in, s)](Ops& ops) { ops.attention_forward(args); }};
}

/// Queries times keys alone, half of what attention multiplies.
OpCase largest_logits(BenchMemory& memory, const OpsShape& s) {
  const Inputs in = inputs(memory, s);
  LargestLogits args{in.q, in.k, memory.zeros(DType::f32, {s.heads}), {}, in.scale};
  args.mask.chunk = s.chunk;
  return {in.qkv_bytes, forward_flops(s) / 2, [args](Ops& ops) { ops.largest_logits(args); }};
}

OpCase attention_backward(BenchMemory& memory, const OpsShape& s) {
  const Inputs in = inputs(memory, s);
  const TensorView dqkv = memory.output(in.qkv.shape);
  const TensorView rows = dqkv.reshape({s.batch, s.sequence, s.heads + 2 * s.kv_heads, s.head_dim});
  AttentionBackward args = backward_of(memory, forward_args(in, s));
  args.dq = rows.slice(2, 0, s.heads);
  args.dk = rows.slice(2, s.heads, s.heads + s.kv_heads);
  args.dv = rows.slice(2, s.heads + s.kv_heads, s.heads + 2 * s.kv_heads);
  // The recomputed scores are not counted.
  return {2 * in.qkv_bytes + 2 * in.q_bytes, 2 * forward_flops(s),
          [args](Ops& ops) { ops.attention_backward(args); }};
}

OpCase attention_decode(BenchMemory& memory, const OpsShape& s) {
  AttentionForward args;
  args.q = memory.random({s.batch, 1, s.heads, s.head_dim});
  args.k = memory.random({s.batch, s.sequence, s.kv_heads, s.head_dim});
  args.v = memory.random({s.batch, s.sequence, s.kv_heads, s.head_dim});
  args.out = memory.output({s.batch, 1, s.heads, s.head_dim});
  args.lse = memory.zeros(DType::f32, {s.batch, s.heads, 1});
  args.mask.first_query = s.sequence - 1;
  args.scale = attention_scale(s);
  return {static_cast<double>(args.k.bytes() + args.v.bytes()),
          4 * static_cast<double>(s.tokens() * s.heads * s.head_dim),
          [args](Ops& ops) { ops.attention_forward(args); }};
}

QkPrepare preparation(BenchMemory& memory, const OpsShape& s) {
  QkPrepare how;
  how.cos = memory.random_f32({s.sequence, s.head_dim / 2});
  how.sin = memory.random_f32({s.sequence, s.head_dim / 2});
  how.heads = s.heads;
  how.kv_heads = s.kv_heads;
  how.head_dim = s.head_dim;
  how.tokens = TokenMap::whole(0, s.sequence);
  how.norm_eps = 1e-5f;
  return how;
}

/// Bytes of the queries and keys, which are read and written.
double prepared_bytes(const BenchMemory& memory, const OpsShape& s) {
  return memory.compute_bytes() * static_cast<double>(s.tokens() * (s.heads + s.kv_heads) * s.head_dim);
}

OpCase qk_prepare_forward(BenchMemory& memory, const OpsShape& s) {
  QkPrepareForward args{preparation(memory, s),
                        memory.random({s.tokens(), (s.heads + 2 * s.kv_heads) * s.head_dim}),
                        memory.zeros(DType::f32, {s.tokens(), s.heads + s.kv_heads})};
  return {2 * prepared_bytes(memory, s), 0, [args](Ops& ops) { ops.qk_prepare_forward(args); }};
}

OpCase qk_prepare_backward(BenchMemory& memory, const OpsShape& s) {
  const Shape shape{s.tokens(), (s.heads + 2 * s.kv_heads) * s.head_dim};
  QkPrepareBackward args{preparation(memory, s), memory.random(shape),
                         memory.random_f32({s.tokens(), s.heads + s.kv_heads}), memory.random(shape, 1e-3f)};
  return {3 * prepared_bytes(memory, s), 0, [args](Ops& ops) { ops.qk_prepare_backward(args); }};
}

}  // namespace

double attention_flops(const OpsShape& shape, double pairs) {
  return 4 * pairs * static_cast<double>(shape.heads * shape.head_dim);
}

float attention_scale(const OpsShape& shape) {
  return 1 / std::sqrt(static_cast<float>(shape.head_dim));
}

AttentionBackward backward_of(BenchMemory& memory, const AttentionForward& forward) {
  memory.device().ops().attention_forward(forward);
  AttentionBackward args;
  args.q = forward.q;
  args.k = forward.k;
  args.v = forward.v;
  args.out = forward.out;
  args.lse = forward.lse;
  args.dout = memory.random(forward.out.shape);
  args.mask = forward.mask;
  args.scale = forward.scale;
  return args;
}

const std::vector<NamedCase>& attention_cases() {
  static const std::vector<NamedCase> cases = {
      {"qk_prepare_forward", qk_prepare_forward}, {"qk_prepare_backward", qk_prepare_backward},
      {"attention_forward", attention_forward},   {"attention_forward/large_scores", attention_forward_large},
      {"attention_backward", attention_backward}, {"attention_forward/decode", attention_decode},
      {"largest_logits", largest_logits},
  };
  return cases;
}

}  // namespace caravan::jobs
