#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "tests/device/cases.hpp"

namespace caravan::testing {
namespace {

/// A rank's part of a vocabulary.
struct Part {
  std::int64_t tokens, vocabulary, width, first_id;

  std::int64_t of_all_ranks() const { return first_id + vocabulary + 9; }
  std::string name(std::string_view op, std::string_view variant) const {
    return fmt::format("{}/T{}_V{}_H{}_from{}{}", op, tokens, vocabulary, width, first_id, variant);
  }
};

constexpr Part kParts[] = {{1, 1, 1, 2},       {3, 5, 7, 5},       {5, 0, 8, 3},         {33, 130, 24, 64},
                           {17, 1027, 12, 11}, {70, 4608, 8, 512}, {2000, 264, 16, 100}, {8200, 24, 8, 24}};

/// Ids of this rank, of others before and after it, and some that are ignored.
std::vector<std::int32_t> labels_of(const Part& part) {
  std::vector<std::int32_t> labels;
  for (std::int64_t t = 0; t < part.tokens; ++t) {
    const std::int64_t id = (7 * t + 2) % part.of_all_ranks();
    labels.push_back(t % 5 == 1 ? kIgnoredLabel : static_cast<std::int32_t>(id));
  }
  return labels;
}

Problem vocabulary_statistics(const Part& part, Storage storage, bool everything) {
  ProblemBuilder b(part.name("vocabulary_statistics", everything ? "_everything" : ""), storage);
  const Handle x = b.random("x", {part.tokens, part.width}), w = b.random("w", {part.vocabulary, part.width}),
               bias = b.random("bias", {part.vocabulary});
  const Handle labels = b.indices("labels", {part.tokens}, labels_of(part)),
               statistics = b.f32_output("statistics", {3, part.tokens}),
               logits = b.f32_output("logits", {part.tokens, part.vocabulary});
  return b.build([=](Ops& ops, const Views& v) {
    VocabularyStatistics args{.x = v[x],
                              .w = v[w],
                              .labels = v[labels],
                              .statistics = v[statistics],
                              .first_id = part.first_id,
                              .vocabulary = part.of_all_ranks()};
    if (everything) args.bias = v[bias], args.logits = v[logits];
    ops.vocabulary_statistics(args);
  });
}

/// [P, 3, T] with a second rank that has no logits.
std::vector<double> statistics_of(std::int64_t ranks, std::int64_t tokens) {
  std::vector<double> values;
  for (std::int64_t p = 0; p < ranks; ++p) {
    const bool has_none = p == 1;
    for (std::int64_t t = 0; t < tokens; ++t) {
      values.push_back(has_none ? std::numeric_limits<float>::lowest()
                                : static_cast<float>(8 * std::sin(1.7 * static_cast<double>(p + t))));
    }
    for (std::int64_t t = 0; t < tokens; ++t)
      values.push_back(has_none ? 0 : 1 + static_cast<double>((3 * p + t) % 5));
    for (std::int64_t t = 0; t < tokens; ++t) values.push_back(t % ranks == p && !has_none ? -0.75 : 0);
  }
  return values;
}

Problem vocabulary_loss(std::int64_t tokens, std::int64_t ranks, Storage storage) {
  ProblemBuilder b(fmt::format("vocabulary_loss/T{}_P{}", tokens, ranks), storage);
  const Handle labels = b.indices("labels", {tokens}, labels_of({tokens, 30, 1, 3})),
               statistics =
                   b.given("statistics", DType::f32, {ranks, 3, tokens}, statistics_of(ranks, tokens)),
               lse = b.given("lse", DType::f32, {tokens}, {}),
               loss = b.given("loss_sum", DType::f64, {1}, {1.5});
  return b.build([=](Ops& ops, const Views& v) {
    ops.vocabulary_loss({.labels = v[labels],
                         .statistics = v[statistics],
                         .lse = v[lse],
                         .loss_sum = v[loss],
                         .first_row = tokens / 4,
                         .rows = tokens - tokens / 2});
  });
}

Problem vocabulary_gradient(const Part& part, Storage storage, bool with_bias) {
  ProblemBuilder b(part.name("vocabulary_gradient", with_bias ? "_bias" : ""), storage);
  const Handle x = b.random("x", {part.tokens, part.width}), w = b.random("w", {part.vocabulary, part.width}),
               bias = b.random("bias", {part.vocabulary});
  const Handle labels = b.indices("labels", {part.tokens}, labels_of(part)),
               statistics = b.contiguous(b.f32_output("statistics", {3, part.tokens})),
               lse = b.given("lse", DType::f32, {part.tokens}, {}),
               loss = b.given("loss_sum", DType::f64, {1}, {0});
  const auto bias_in = [=](const Views& v) { return with_bias ? v[bias] : TensorView{}; };
  b.prepare([=](Ops& ops, const Views& v) {
    ops.vocabulary_statistics(
        {v[x], v[w], bias_in(v), v[labels], v[statistics], {}, part.first_id, part.of_all_ranks()});
    ops.vocabulary_loss({v[labels], v[statistics].reshape({1, 3, part.tokens}), v[lse], v[loss]});
  });
  const Handle dx = b.cancels(b.output("dx", {part.tokens, part.width}), 0.1),
               dbias = b.sums_compute_type(b.f32_random("dbias", {part.vocabulary}, 0.1));
  const Handle dw = b.sums_compute_type(b.contiguous(b.f32_random("dw", {part.vocabulary, part.width}, 0.1)));
  return b.build([=](Ops& ops, const Views& v) {
    VocabularyGradient args{.x = v[x], .w = v[w], .bias = bias_in(v), .labels = v[labels], .lse = v[lse]};
    args.dx = v[dx], args.dw = v[dw], args.dbias = with_bias ? v[dbias] : TensorView{};
    args.first_id = part.first_id, args.vocabulary = part.of_all_ranks(), args.gradient_scale = 0.125f;
    ops.vocabulary_gradient(args);
  });
}

}  // namespace

std::vector<Problem> vocabulary_problems(Storage storage) {
  std::vector<Problem> problems;
  for (const Part& part : kParts) {
    for (bool everything : {false, true}) {
      problems.push_back(vocabulary_statistics(part, storage, everything));
      problems.push_back(vocabulary_gradient(part, storage, everything));
    }
  }
  for (std::int64_t tokens : {1, 33, 700, 5000}) {
    for (std::int64_t ranks : {1, 3}) problems.push_back(vocabulary_loss(tokens, ranks, storage));
  }
  return problems;
}

}  // namespace caravan::testing
