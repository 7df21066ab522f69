#include "caravan/random.hpp"
#include "jobs/bench/ops_cases.hpp"

namespace caravan::jobs {
namespace {

double bytes_of(std::initializer_list<TensorView> views) {
  double total = 0;
  for (const TensorView& view : views) total += static_cast<double>(view.bytes());
  return total;
}

std::vector<std::int32_t> random_ids(const OpsShape& s) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(s.tokens()));
  for (std::size_t t = 0; t < ids.size(); ++t) {
    ids[t] = static_cast<std::int32_t>(uniform({5, 5}, 0, t) * static_cast<float>(s.vocabulary));
  }
  return ids;
}

OpCase embedding_forward(BenchMemory& memory, const OpsShape& s) {
  const TensorView ids = memory.indices({s.tokens()}, random_ids(s));
  const TensorView table = memory.random({s.vocabulary, s.width}), out = memory.output({s.tokens(), s.width});
  return {bytes_of({out, out}), 0, [=](Ops& ops) { ops.embedding_forward({ids, table, out}); }};
}

OpCase embedding_backward_weight(BenchMemory& memory, const OpsShape& s) {
  const TensorView ids = memory.indices({s.tokens()}, random_ids(s));
  const TensorView dout = memory.random({s.tokens(), s.width});
  const TensorView dtable = memory.zeros(DType::f32, {s.vocabulary, s.width});
  return {bytes_of({dout}) + 8.0 * static_cast<double>(dout.count()), 0, [=](Ops& ops) {
            ops.embedding_backward_weight({ids, dout, dtable});
          }};
}

OpCase add_positions(BenchMemory& memory, const OpsShape& s) {
  const TensorView x = memory.random({s.tokens(), s.width}),
                   table = memory.random_f32({s.sequence, s.width}, 1e-6f);
  return {bytes_of({x, x, table}), 0, [=, length = s.sequence](Ops& ops) {
            ops.add_positions({x, table, length, 0});
          }};
}

/// x, weight, rstd, and gradients of a norm.
struct Norm {
  TensorView x, weight, y, rstd, dy;
  explicit Norm(BenchMemory& memory, const OpsShape& s)
      : x(memory.random({s.tokens(), s.width})),
        weight(memory.random({s.width})),
        y(memory.output({s.tokens(), s.width})),
        rstd(memory.random_f32({s.tokens()})),
        dy(memory.random({s.tokens(), s.width})) {}
};

OpCase rmsnorm_forward(BenchMemory& memory, const OpsShape& s) {
  const Norm n(memory, s);
  return {bytes_of({n.x, n.y}), 0, [n](Ops& ops) {
            ops.rmsnorm_forward({n.x, n.weight, n.y, n.rstd, 1e-5f});
          }};
}

OpCase rmsnorm_backward_input(BenchMemory& memory, const OpsShape& s) {
  const Norm n(memory, s);
  const TensorView residual = memory.random(n.x.shape);
  return {bytes_of({n.x, n.dy, residual, n.y}), 0, [n, residual](Ops& ops) {
            ops.rmsnorm_backward_input({n.x, n.weight, n.rstd, n.dy, residual, n.y});
          }};
}

OpCase rmsnorm_backward_weight(BenchMemory& memory, const OpsShape& s) {
  const Norm n(memory, s);
  const TensorView dweight = memory.zeros(DType::f32, {s.width});
  return {bytes_of({n.x, n.dy}), 0, [n, dweight](Ops& ops) {
            ops.rmsnorm_backward_weight({n.x, n.rstd, n.dy, dweight});
          }};
}

OpCase swiglu_forward(BenchMemory& memory, const OpsShape& s) {
  const TensorView in = memory.random({s.tokens(), 2 * s.hidden}),
                   out = memory.output({s.tokens(), s.hidden});
  return {bytes_of({in, out}), 0, [=](Ops& ops) { ops.swiglu_forward({in, out}); }};
}

OpCase swiglu_backward(BenchMemory& memory, const OpsShape& s) {
  const TensorView in = memory.random({s.tokens(), 2 * s.hidden}),
                   dout = memory.random({s.tokens(), s.hidden});
  const TensorView din = memory.output(in.shape);
  return {bytes_of({in, dout, din}), 0, [=](Ops& ops) { ops.swiglu_backward({in, dout, din}); }};
}

OpCase gelu_forward(BenchMemory& memory, const OpsShape& s) {
  const TensorView x = memory.random({s.tokens(), s.hidden}), out = memory.output(x.shape);
  return {bytes_of({x, out}), 0, [=](Ops& ops) { ops.gelu_forward({x, out}); }};
}

OpCase gelu_backward(BenchMemory& memory, const OpsShape& s) {
  const TensorView x = memory.random({s.tokens(), s.hidden}), dout = memory.random(x.shape);
  const TensorView dx = memory.output(x.shape);
  return {bytes_of({x, dout, dx}), 0, [=](Ops& ops) { ops.gelu_backward({x, dout, dx}); }};
}

OpCase dropout(BenchMemory& memory, const OpsShape& s) {
  const TensorView x = memory.random({s.tokens(), s.width});
  return {bytes_of({x, x}), 0, [=](Ops& ops) {
            ops.dropout({x, 1e-3f, {3, 4}, TokenMap::whole(0, x.extent(0))});
          }};
}

OpCase add(BenchMemory& memory, const OpsShape& s) {
  const TensorView x = memory.random({s.tokens(), s.width}, 1e-6f), y = memory.random(x.shape);
  return {bytes_of({x, y, y}), 0, [=](Ops& ops) { ops.add({x, y}); }};
}

/// As many parameters as the experts of one layer have.
Shape parameters(const OpsShape& s) {
  return {3 * s.experts * s.hidden * s.width};
}

OpCase adamw_step(BenchMemory& memory, const OpsShape& s) {
  AdamWStep args;
  args.master = memory.random_f32(parameters(s));
  args.grad = memory.random_f32(parameters(s), 1e-3f);
  args.exp_avg = memory.zeros(DType::f32, parameters(s));
  args.exp_avg_sq = memory.zeros(DType::f32, parameters(s));
  if (memory.device().compute_dtype() != DType::f32) args.weight = memory.output(parameters(s));
  args.lr = 1e-4;
  args.beta1 = 0.9;
  args.beta2 = 0.95;
  args.eps = 1e-8;
  args.weight_decay = 0.1;
  args.gradient_scale = memory.random_f32({1});
  const double bytes = 28.0 * static_cast<double>(args.master.count()) +
                       (args.weight.empty() ? 0.0 : static_cast<double>(args.weight.bytes()));
  return {bytes, 0, [args](Ops& ops) { ops.adamw_step(args); }};
}

OpCase sum_of_squares(BenchMemory& memory, const OpsShape& s) {
  const TensorView x = memory.random_f32(parameters(s)), out = memory.zeros(DType::f64, {1});
  return {bytes_of({x}), 0, [=](Ops& ops) { ops.sum_of_squares({x, out}); }};
}

}  // namespace

const std::vector<NamedCase>& elementwise_cases() {
  static const std::vector<NamedCase> cases = {
      {"embedding_forward", embedding_forward},
      {"embedding_backward_weight", embedding_backward_weight},
      {"add_positions", add_positions},
      {"rmsnorm_forward", rmsnorm_forward},
      {"rmsnorm_backward_input", rmsnorm_backward_input},
      {"rmsnorm_backward_weight", rmsnorm_backward_weight},
      {"swiglu_forward", swiglu_forward},
      {"swiglu_backward", swiglu_backward},
      {"gelu_forward", gelu_forward},
      {"gelu_backward", gelu_backward},
      {"dropout", dropout},
      {"add", add},
      {"adamw_step", adamw_step},
      {"sum_of_squares", sum_of_squares},
  };
  return cases;
}

}  // namespace caravan::jobs
