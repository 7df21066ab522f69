#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "caravan/reference_ops.hpp"
#include "core/ops/reference/head.hpp"

namespace caravan {

using namespace reference;

namespace {

/// Of a loss, which is not told how many ids there are: the statistics before it were.
void check_not_negative(const Call& call, const Vector<std::int32_t>& labels) {
  for (std::int64_t t = 0; t < labels.extent(0); ++t) {
    if (labels(t) >= 0 || labels(t) == kIgnoredLabel) continue;
    call.fail(
        fmt::format("label {} of token {} (an id is 0 or more; {} is ignored)", labels(t), t, kIgnoredLabel));
  }
}

double sum_of_exponentials(const Logits& z, double maximum) {
  return sum(static_cast<std::int64_t>(z.size()), [&](std::int64_t v) { return std::exp(z[v] - maximum); });
}

/// The sum is that of the maximum as it is kept, so that rounding it costs nothing.
float maximum_of(const Logits& z) {
  float largest = std::numeric_limits<float>::lowest();
  for (const double value : z) largest = std::max(largest, static_cast<float>(value));
  return largest;
}

/// What all ranks know of one token.
struct Merged {
  double lse, at_label;

  Merged(const Array<float, 3>& of_ranks, std::int64_t t) {
    const std::int64_t ranks = of_ranks.extent(0);
    double largest = std::numeric_limits<float>::lowest();
    for (std::int64_t p = 0; p < ranks; ++p) largest = std::max(largest, double{of_ranks(p, 0, t)});
    lse = largest + std::log(sum(ranks, [&](std::int64_t p) {
            return of_ranks(p, 1, t) * std::exp(of_ranks(p, 0, t) - largest);
          }));
    at_label = sum(ranks, [&](std::int64_t p) { return double{of_ranks(p, 2, t)}; });
  }
};

}  // namespace

void ReferenceOps::vocabulary_statistics(const VocabularyStatistics& args) {
  const Call call("vocabulary_statistics");
  const Head head = check_head(call, args);
  const std::int64_t tokens = head.x.extent(0), vocabulary = head.w.extent(0);
  const auto labels = call.vector<std::int32_t>("labels", args.labels, tokens);
  const auto statistics = call.f32_matrix("statistics", args.statistics, 3, tokens);
  const auto logits = call.optional_f32_matrix("logits", args.logits, tokens, vocabulary);
  check_labels(call, labels, ids_of_all_ranks(args, vocabulary));

  for (std::int64_t t = 0; t < tokens; ++t) {
    const Logits z = logits_of(head, t);
    const std::int64_t label = labels(t) - args.first_id;
    statistics(0, t) = maximum_of(z);
    statistics(1, t) = static_cast<float>(sum_of_exponentials(z, statistics(0, t)));
    statistics(2, t) = has_column(z, label) ? static_cast<float>(z[label]) : 0;
    for (std::int64_t v = 0; logits && v < vocabulary; ++v) {
      logits(t, v) = static_cast<float>(z[v]);
    }
  }
}

void ReferenceOps::vocabulary_loss(const VocabularyLoss& args) {
  const Call call("vocabulary_loss");
  const auto lse = call.f32_vector("lse", args.lse, kAny);
  const std::int64_t tokens = lse.extent(0);
  const auto labels = call.vector<std::int32_t>("labels", args.labels, tokens);
  const auto statistics = call.f32_array<3>("statistics", args.statistics, {kAny, 3, tokens});
  const auto loss_sum = call.vector<double>("loss_sum", args.loss_sum, 1);
  check_not_negative(call, labels);
  if (const std::string problem = problem_with_rows(args, tokens); !problem.empty()) call.fail(problem);

  for (std::int64_t t = 0; t < tokens; ++t) {
    const Merged merged(statistics, t);
    const bool counts = t >= args.first_row && t < args.first_row + args.rows && labels(t) != kIgnoredLabel;
    lse(t) = static_cast<float>(merged.lse);
    if (counts) loss_sum(0) += merged.lse - merged.at_label;
  }
}

void ReferenceOps::vocabulary_gradient(const VocabularyGradient& args) {
  const Call call("vocabulary_gradient");
  Head head = check_head(call, args);
  const std::int64_t tokens = head.x.extent(0), vocabulary = head.w.extent(0);
  const auto labels = call.vector<std::int32_t>("labels", args.labels, tokens);
  const auto lse = call.f32_vector("lse", args.lse, tokens);
  head.dx = call.matrix("dx", args.dx, tokens, head.x.extent(1));
  head.dw = call.optional_f32_matrix("dw", args.dw, vocabulary, head.w.extent(1));
  head.dbias = call.optional_f32_vector("dbias", args.dbias, vocabulary);
  check_labels(call, labels, ids_of_all_ranks(args, vocabulary));

  HeadGradients gradients(head);
  for (std::int64_t t = 0; t < tokens; ++t) {
    if (labels(t) == kIgnoredLabel) {
      gradients.skip(t);
      continue;
    }
    Logits z = logits_of(head, t);
    to_gradient(z, lse(t), labels(t) - args.first_id, args.gradient_scale);
    gradients.add(z, t);
  }
  gradients.store();
}

}  // namespace caravan
