#include "jobs/bench/ops_cases.hpp"

namespace caravan::jobs {
namespace {

struct Product {
  TensorView x, w, y;
  double bytes, flops;
};

/// [T, inputs] × [outputs, inputs]ᵀ
Product product(BenchMemory& memory, std::int64_t tokens, std::int64_t inputs, std::int64_t outputs) {
  const auto t = static_cast<double>(tokens), m = static_cast<double>(inputs),
             n = static_cast<double>(outputs);
  return {memory.random({tokens, inputs}), memory.random({outputs, inputs}, 0.05f),
          memory.random({tokens, outputs}), memory.compute_bytes() * (t * m + n * m + t * n), 2 * t * m * n};
}

std::int64_t qkv_width(const OpsShape& s) {
  return (s.heads + 2 * s.kv_heads) * s.head_dim;
}

template <std::int64_t (*Inputs)(const OpsShape&), std::int64_t (*Outputs)(const OpsShape&)>
Product product_of(BenchMemory& memory, const OpsShape& s) {
  return product(memory, s.tokens(), Inputs(s), Outputs(s));
}

std::int64_t width(const OpsShape& s) {
  return s.width;
}
std::int64_t attention_width(const OpsShape& s) {
  return s.heads * s.head_dim;
}
std::int64_t gate_up_width(const OpsShape& s) {
  return 2 * s.hidden;
}
std::int64_t hidden(const OpsShape& s) {
  return s.hidden;
}
std::int64_t experts(const OpsShape& s) {
  return s.experts;
}

using MakeProduct = Product (*)(BenchMemory&, const OpsShape&);
constexpr MakeProduct kQkv = product_of<width, qkv_width>;
constexpr MakeProduct kOut = product_of<attention_width, width>;
constexpr MakeProduct kGateUp = product_of<width, gate_up_width>;
constexpr MakeProduct kDown = product_of<hidden, width>;
constexpr MakeProduct kRouter = product_of<width, experts>;

template <MakeProduct Make>
OpCase forward(BenchMemory& memory, const OpsShape& s) {
  const Product p = Make(memory, s);
  return {p.bytes, p.flops, [p](Ops& ops) { ops.linear_forward({p.x, p.w, {}, {}, p.y}); }};
}

template <MakeProduct Make>
OpCase backward_input(BenchMemory& memory, const OpsShape& s) {
  const Product p = Make(memory, s);
  return {p.bytes, p.flops, [p](Ops& ops) { ops.linear_backward_input({p.y, p.w, p.x, false}); }};
}

template <MakeProduct Make>
OpCase backward_weight(BenchMemory& memory, const OpsShape& s) {
  const Product p = Make(memory, s);
  const TensorView dw = memory.zeros(DType::f32, p.w.shape);
  const double bytes = p.bytes + static_cast<double>(p.w.count()) * (8 - memory.compute_bytes());
  return {bytes, p.flops, [p, dw](Ops& ops) { ops.linear_backward_weight({p.x, p.y, dw, {}}); }};
}

}  // namespace

const std::vector<NamedCase>& linear_cases() {
  static const std::vector<NamedCase> cases = {
      {"linear_forward/qkv", forward<kQkv>},
      {"linear_forward/attention_out", forward<kOut>},
      {"linear_forward/gate_up", forward<kGateUp>},
      {"linear_forward/down", forward<kDown>},
      {"linear_forward/router", forward<kRouter>},
      {"linear_backward_input/qkv", backward_input<kQkv>},
      {"linear_backward_input/attention_out", backward_input<kOut>},
      {"linear_backward_input/gate_up", backward_input<kGateUp>},
      {"linear_backward_input/down", backward_input<kDown>},
      {"linear_backward_input/router", backward_input<kRouter>},
      {"linear_backward_weight/qkv", backward_weight<kQkv>},
      {"linear_backward_weight/attention_out", backward_weight<kOut>},
      {"linear_backward_weight/gate_up", backward_weight<kGateUp>},
      {"linear_backward_weight/down", backward_weight<kDown>},
      {"linear_backward_weight/router", backward_weight<kRouter>},
  };
  return cases;
}

}  // namespace caravan::jobs
