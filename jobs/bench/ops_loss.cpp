#include "caravan/random.hpp"
#include "jobs/bench/ops_cases.hpp"

namespace caravan::jobs {
namespace {

LinearCrossEntropy loss_args(BenchMemory& memory, const OpsShape& s) {
  std::vector<std::int32_t> labels(static_cast<std::size_t>(s.tokens()));
  for (std::size_t t = 0; t < labels.size(); ++t) {
    labels[t] = static_cast<std::int32_t>(uniform({9, 9}, 0, t) * static_cast<float>(s.vocabulary));
  }
  LinearCrossEntropy args;
  args.x = memory.random({s.tokens(), s.width});
  args.w = memory.random({s.vocabulary, s.width}, 0.05f);
  args.labels = memory.indices({s.tokens()}, labels);
  args.loss_sum = memory.zeros(DType::f64, {1});
  return args;
}

/// One product of all tokens, width and vocabulary.
double product_flops(const OpsShape& s) {
  return 2.0 * static_cast<double>(s.tokens() * s.width * s.vocabulary);
}

OpCase evaluation(BenchMemory& memory, const OpsShape& s) {
  const LinearCrossEntropy args = loss_args(memory, s);
  return {static_cast<double>(args.x.bytes() + args.w.bytes()), product_flops(s),
          [args](Ops& ops) { ops.linear_cross_entropy(args); }};
}

OpCase training(BenchMemory& memory, const OpsShape& s) {
  LinearCrossEntropy args = loss_args(memory, s);
  args.dx = memory.output(args.x.shape);
  args.dw = memory.zeros(DType::f32, args.w.shape);
  const double bytes = static_cast<double>(2 * args.x.bytes() + args.w.bytes() + 2 * args.dw.bytes());
  return {bytes, 3 * product_flops(s), [args](Ops& ops) { ops.linear_cross_entropy(args); }};
}

}  // namespace

const std::vector<NamedCase>& loss_cases() {
  static const std::vector<NamedCase> cases = {
      {"linear_cross_entropy/evaluation", evaluation},
      {"linear_cross_entropy/training", training},
  };
  return cases;
}

}  // namespace caravan::jobs
