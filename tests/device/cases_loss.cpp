#include <fmt/format.h>

#include "tests/device/cases.hpp"

namespace caravan::testing {
namespace {

enum class Labels { all, some, none };
enum class Wanted { loss, gradients, everything };

struct LossCase {
  std::int64_t tokens, vocabulary, width;
  Labels labels;
};

constexpr LossCase kCases[] = {
    {1, 1, 1, Labels::all},      {3, 5, 7, Labels::some},     {33, 130, 24, Labels::some},
    {9, 50, 8, Labels::none},    {140, 33, 16, Labels::all},  {17, 1027, 12, Labels::some},
    {70, 4608, 8, Labels::some}, {8200, 24, 8, Labels::some}, {270, 18440, 8, Labels::some}};

std::vector<std::int32_t> labels_of(const LossCase& c) {
  std::vector<std::int32_t> labels;
  for (std::int64_t t = 0; t < c.tokens; ++t) {
    const bool ignored = c.labels == Labels::none || (c.labels == Labels::some && t % 3 == 1);
    labels.push_back(ignored ? kIgnoredLabel : static_cast<std::int32_t>((7 * t + 2) % c.vocabulary));
  }
  return labels;
}

Problem linear_cross_entropy(const LossCase& c, Storage storage, Wanted wanted) {
  constexpr const char* kVariant[] = {"_loss", "_gradients", "_everything"};
  ProblemBuilder b(
      fmt::format("linear_cross_entropy/T{}_V{}_H{}{}{}", c.tokens, c.vocabulary, c.width,
                  c.labels == Labels::none ? "_ignored" : "", kVariant[static_cast<int>(wanted)]),
      storage);
  const Handle x = b.random("x", {c.tokens, c.width}), w = b.random("w", {c.vocabulary, c.width});
  const Handle bias = b.random("bias", {c.vocabulary}),
               labels = b.indices("labels", {c.tokens}, labels_of(c));
  const Handle loss = b.given("loss_sum", DType::f64, {1}, {1.5}),
               logits = b.f32_output("logits", {c.tokens, c.vocabulary});
  const Handle dx = b.cancels(b.output("dx", {c.tokens, c.width}), 0.1),
               dbias = b.sums_compute_type(b.f32_random("dbias", {c.vocabulary}, 0.1));
  const Handle dw = b.sums_compute_type(b.contiguous(b.f32_random("dw", {c.vocabulary, c.width}, 0.1)));
  return b.build([=](Ops& ops, const Views& v) {
    LinearCrossEntropy args{
        .x = v[x], .w = v[w], .labels = v[labels], .loss_sum = v[loss], .gradient_scale = 0.125f};
    if (wanted != Wanted::loss) args.dx = v[dx], args.dw = v[dw];
    if (wanted == Wanted::everything) args.bias = v[bias], args.logits = v[logits], args.dbias = v[dbias];
    ops.linear_cross_entropy(args);
  });
}

}  // namespace

std::vector<Problem> loss_problems(Storage storage) {
  std::vector<Problem> problems;
  for (const LossCase& c : kCases) {
    for (Wanted wanted : {Wanted::loss, Wanted::gradients, Wanted::everything}) {
      problems.push_back(linear_cross_entropy(c, storage, wanted));
    }
  }
  return problems;
}

}  // namespace caravan::testing
