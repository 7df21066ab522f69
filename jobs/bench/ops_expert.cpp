#include <algorithm>
#include <numeric>

#include "caravan/random.hpp"
#include "jobs/bench/ops_cases.hpp"

namespace caravan::jobs {
namespace {

/// Tokens sent to random experts, as an untrained router does: groups of unequal size.
struct RandomRouting {
  std::vector<std::int32_t> offsets, row_of, choice_of;

  explicit RandomRouting(const OpsShape& s)
      : offsets(static_cast<std::size_t>(s.experts) + 1),
        row_of(static_cast<std::size_t>(s.routed())),
        choice_of(static_cast<std::size_t>(s.routed())) {
    std::vector<std::int32_t> expert(row_of.size());
    for (std::size_t choice = 0; choice < expert.size(); ++choice) {
      expert[choice] = static_cast<std::int32_t>(uniform({7, 7}, 0, choice) * static_cast<float>(s.experts));
      ++offsets[static_cast<std::size_t>(expert[choice]) + 1];
    }
    std::partial_sum(offsets.begin(), offsets.end(), offsets.begin());
    std::vector<std::int32_t> next = offsets;
    for (std::size_t choice = 0; choice < expert.size(); ++choice) {
      const std::int32_t row = next[static_cast<std::size_t>(expert[choice])]++;
      row_of[choice] = row;
      choice_of[static_cast<std::size_t>(row)] = static_cast<std::int32_t>(choice);
    }
  }
};

/// Experts that have rows: only their weights are read.
std::int64_t busy_experts(const std::vector<std::int32_t>& offsets) {
  std::int64_t busy = 0;
  for (std::size_t e = 1; e < offsets.size(); ++e) busy += offsets[e] > offsets[e - 1];
  return busy;
}

/// Which matrix of an expert.
enum class Which { gate_up, down };

struct Grouped {
  TensorView x, offsets, w, y;
  double bytes, flops;
  std::int64_t busy;  ///< experts that have rows
};

Grouped grouped(BenchMemory& memory, const OpsShape& s, Which which) {
  const bool up = which == Which::gate_up;
  const std::int64_t rows = s.routed(), outputs = up ? 2 * s.hidden : s.width,
                     inputs = up ? s.width : s.hidden;
  const double r = static_cast<double>(rows), m = static_cast<double>(inputs),
               n = static_cast<double>(outputs);
  const std::vector<std::int32_t> offsets = RandomRouting(s).offsets;
  const std::int64_t busy = busy_experts(offsets);
  return {memory.random({rows, inputs}),
          memory.indices({s.experts + 1}, offsets),
          memory.random({s.experts, outputs, inputs}, 0.05f),
          memory.random({rows, outputs}),
          memory.compute_bytes() * (r * m + static_cast<double>(busy) * n * m + r * n),
          2 * r * m * n,
          busy};
}

template <Which kWhich>
OpCase grouped_forward(BenchMemory& memory, const OpsShape& s) {
  const Grouped g = grouped(memory, s, kWhich);
  return {g.bytes, g.flops, [g](Ops& ops) { ops.grouped_linear_forward({g.x, g.offsets, g.w, g.y}); }};
}

template <Which kWhich>
OpCase grouped_backward_input(BenchMemory& memory, const OpsShape& s) {
  const Grouped g = grouped(memory, s, kWhich);
  return {g.bytes, g.flops, [g](Ops& ops) { ops.grouped_linear_backward_input({g.y, g.offsets, g.w, g.x}); }};
}

template <Which kWhich>
OpCase grouped_backward_weight(BenchMemory& memory, const OpsShape& s) {
  const Grouped g = grouped(memory, s, kWhich);
  const TensorView dw = memory.zeros(DType::f32, g.w.shape);
  const double weights = static_cast<double>(g.busy * g.w.extent(1) * g.w.extent(2));
  const double bytes = g.bytes + weights * (8 - memory.compute_bytes());
  return {bytes, g.flops, [g, dw](Ops& ops) {
            ops.grouped_linear_backward_weight({g.x, g.y, g.offsets, dw});
          }};
}

/// Halves of a SwiGLU block, of experts or of all tokens.
template <bool kExperts>
OpCase gate_up_forward(BenchMemory& memory, const OpsShape& s) {
  const Grouped g = grouped(memory, s, Which::gate_up);
  const TensorView w =
      kExperts ? g.w : g.w.reshape({g.w.extent(0) * g.w.extent(1), g.w.extent(2)}).rows(0, g.w.extent(1));
  const TensorView activated = memory.output({g.x.extent(0), s.hidden});
  const double bytes = g.bytes + static_cast<double>(activated.bytes());
  return {bytes, g.flops, [=, offsets = kExperts ? g.offsets : TensorView{}](Ops& ops) {
            ops.gate_up_forward({g.x, offsets, w, g.y, activated});
          }};
}

template <bool kExperts>
OpCase down_backward_input(BenchMemory& memory, const OpsShape& s) {
  const Grouped g = grouped(memory, s, Which::down);
  const TensorView w = kExperts ? g.w : memory.random({g.w.extent(1), g.w.extent(2)}, 0.05f);
  const Shape both{g.x.extent(0), 2 * s.hidden};
  const TensorView pre = memory.random(both), dpre = memory.output(both);
  const double bytes = static_cast<double>(g.y.bytes() + w.bytes() + pre.bytes() + dpre.bytes());
  return {bytes, g.flops, [=, offsets = kExperts ? g.offsets : TensorView{}](Ops& ops) {
            ops.down_backward_input({g.y, offsets, w, pre, g.x, dpre});
          }};
}

/// Tensors of sending tokens to experts and back.
struct Exchange {
  TensorView x, rows, row_of, choice_of, weights, dweights;
  double bytes;  ///< of one pass over tokens and over rows

  Exchange(BenchMemory& memory, const OpsShape& s) {
    const RandomRouting routing(s);
    x = memory.random({s.tokens(), s.width});
    rows = memory.random({s.routed(), s.width});
    row_of = memory.indices({s.tokens(), s.top_k}, routing.row_of);
    choice_of = memory.indices({s.routed()}, routing.choice_of);
    weights = memory.random_f32({s.tokens(), s.top_k});
    dweights = memory.zeros(DType::f32, {s.tokens(), s.top_k});
    bytes = static_cast<double>(x.bytes() + rows.bytes());
  }
};

OpCase permute_forward(BenchMemory& memory, const OpsShape& s) {
  const Exchange e(memory, s);
  return {e.bytes, 0, [e, k = s.top_k](Ops& ops) {
            ops.permute_forward({e.x, e.choice_of, e.weights, k, e.rows});
          }};
}

OpCase permute_backward(BenchMemory& memory, const OpsShape& s) {
  const Exchange e(memory, s);
  const TensorView dx = memory.output(e.x.shape);
  return {e.bytes + static_cast<double>(dx.bytes()), 0, [e, dx](Ops& ops) {
            ops.permute_backward({e.x, e.rows, e.row_of, e.weights, dx, e.dweights, false});
          }};
}

OpCase combine_forward(BenchMemory& memory, const OpsShape& s) {
  const Exchange e(memory, s);
  const TensorView y = memory.output(e.x.shape);
  return {e.bytes + static_cast<double>(y.bytes()), 0, [e, y](Ops& ops) {
            ops.combine_forward({e.rows, e.row_of, e.weights, e.x, y});
          }};
}

OpCase combine_backward(BenchMemory& memory, const OpsShape& s) {
  const Exchange e(memory, s);
  const TensorView drows = memory.output(e.rows.shape);
  return {e.bytes + static_cast<double>(drows.bytes()), 0, [e, drows](Ops& ops) {
            ops.combine_backward({e.x, e.rows, e.row_of, e.weights, drows, e.dweights});
          }};
}

RouteForward routing_args(BenchMemory& memory, const OpsShape& s) {
  RouteForward args;
  args.routed.rule.top_k = s.top_k;
  args.routed.logits = memory.random_f32({s.tokens(), s.experts});
  args.routed.bias = memory.random_f32({s.experts}, 1e-3f);
  args.routed.experts = memory.zeros(DType::i32, {s.tokens(), s.top_k});
  args.routed.weights = memory.zeros(DType::f32, {s.tokens(), s.top_k});
  args.offsets = memory.zeros(DType::i32, {s.experts + 1});
  args.row_of = memory.zeros(DType::i32, {s.tokens(), s.top_k});
  args.choice_of = memory.zeros(DType::i32, {s.routed()});
  args.counts = memory.zeros(DType::f32, {s.experts});
  return args;
}

double routing_bytes(const OpsShape& s) {
  return 4.0 * static_cast<double>(s.tokens() * (s.experts + 4 * s.top_k));
}

OpCase route_forward(BenchMemory& memory, const OpsShape& s) {
  return {routing_bytes(s), 0, [args = routing_args(memory, s)](Ops& ops) { ops.route_forward(args); }};
}

OpCase route_backward(BenchMemory& memory, const OpsShape& s) {
  const RouteForward f = routing_args(memory, s);
  memory.device().ops().route_forward(f);
  RouteBackward args;
  args.routed = f.routed;
  args.dweights = memory.random_f32({s.tokens(), s.top_k});
  args.dlogits = memory.output({s.tokens(), s.experts});
  return {routing_bytes(s) + static_cast<double>(args.dlogits.bytes()), 0,
          [args](Ops& ops) { ops.route_backward(args); }};
}

/// An expert takes all, so that each call finds what the first one did.
OpCase limit_choices(BenchMemory& memory, const OpsShape& s) {
  const RouteForward f = routing_args(memory, s);
  memory.device().ops().route_forward(f);
  LimitChoices args;
  args.choices = f.routed.experts;
  args.capacity = s.sequence * s.top_k;
  args.sequence_length = s.sequence;
  args.rows = TokenMap::whole(0, s.sequence);
  args.offsets = f.offsets;
  args.row_of = f.row_of;
  args.choice_of = f.choice_of;
  return {16.0 * static_cast<double>(s.routed()), 0, [args](Ops& ops) { ops.limit_choices(args); }};
}

OpCase balance_loss_forward(BenchMemory& memory, const OpsShape& s) {
  const RouteForward f = routing_args(memory, s);
  memory.device().ops().route_forward(f);
  const TensorView loss = memory.zeros(DType::f64, {1});
  return {routing_bytes(s), 0, [f, loss, length = s.sequence](Ops& ops) {
            ops.balance_loss_forward({f.routed.logits, f.routed.experts, length, 0.01f, loss});
          }};
}

OpCase balance_loss_backward(BenchMemory& memory, const OpsShape& s) {
  const RouteForward f = routing_args(memory, s);
  memory.device().ops().route_forward(f);
  const TensorView dlogits = memory.output(f.routed.logits.shape);
  return {routing_bytes(s) + 2.0 * static_cast<double>(dlogits.bytes()), 0,
          [f, dlogits, length = s.sequence](Ops& ops) {
            ops.balance_loss_backward({f.routed.logits, f.routed.experts, length, 0.01f, dlogits});
          }};
}

OpCase expert_bias_update(BenchMemory& memory, const OpsShape& s) {
  const TensorView counts = memory.zeros(DType::f32, {s.experts}),
                   bias = memory.zeros(DType::f32, {s.experts});
  return {static_cast<double>(2 * (counts.bytes() + bias.bytes())), 0, [counts, bias](Ops& ops) {
            ops.expert_bias_update({counts, bias, 1e-3f, true});
          }};
}

}  // namespace

const std::vector<NamedCase>& expert_cases() {
  static const std::vector<NamedCase> cases = {
      {"grouped_linear_forward/gate_up", grouped_forward<Which::gate_up>},
      {"grouped_linear_forward/down", grouped_forward<Which::down>},
      {"grouped_linear_backward_input/gate_up", grouped_backward_input<Which::gate_up>},
      {"grouped_linear_backward_input/down", grouped_backward_input<Which::down>},
      {"grouped_linear_backward_weight/gate_up", grouped_backward_weight<Which::gate_up>},
      {"grouped_linear_backward_weight/down", grouped_backward_weight<Which::down>},
      {"gate_up_forward/experts", gate_up_forward<true>},
      {"gate_up_forward/shared", gate_up_forward<false>},
      {"down_backward_input/experts", down_backward_input<true>},
      {"down_backward_input/shared", down_backward_input<false>},
      {"permute_forward", permute_forward},
      {"permute_backward", permute_backward},
      {"combine_forward", combine_forward},
      {"combine_backward", combine_backward},
      {"route_forward", route_forward},
      {"route_backward", route_backward},
      {"limit_choices", limit_choices},
      {"balance_loss_forward", balance_loss_forward},
      {"balance_loss_backward", balance_loss_backward},
      {"expert_bias_update", expert_bias_update},
  };
  return cases;
}

}  // namespace caravan::jobs
