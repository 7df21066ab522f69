#include "jobs/compare/comparison.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "caravan/check.hpp"
#include "jobs/forward/cross_entropy.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

using Row = std::span<const float>;

Row row_of(const std::vector<float>& values, std::int64_t row, std::int64_t width) {
  return Row(values).subspan(static_cast<std::size_t>(row * width), static_cast<std::size_t>(width));
}

std::int64_t count_not_finite(Row row) {
  return std::count_if(row.begin(), row.end(), [](float value) { return !std::isfinite(value); });
}

/// KL(A || B) of the distributions over the next token.
double divergence(Row a, Row b) {
  const double sum_a = log_sum_exp(a), sum_b = log_sum_exp(b);
  double total = 0;
  for (std::size_t at = 0; at < a.size(); ++at) {
    const double log_a = a[at] - sum_a, log_b = b[at] - sum_b;
    total += std::exp(log_a) * (log_a - log_b);
  }
  return total < 0 ? 0 : total;  // of rounding alone; NaN stays NaN
}

/// Equal infinities differ too: no model means them.
double distance(float a, float b) {
  const double off = std::abs(double{a} - b);
  return std::isfinite(off) ? off : std::numeric_limits<double>::infinity();
}

bool chose_alike(Row a, Row b) {
  return std::equal(a.begin(), a.end(), b.begin(), [](float x, float y) { return (x != 0) == (y != 0); });
}

const Answers::Router* find_router(const Answers& answers, const std::string& layer) {
  const auto found = std::find_if(answers.routers.begin(), answers.routers.end(),
                                  [&](const auto& router) { return router.layer == layer; });
  return found == answers.routers.end() ? nullptr : &*found;
}

/// `side`: the name of `answers`.
void check_none_alone(const char* side, const Answers& answers, const Answers& others) {
  std::vector<std::string> alone;
  for (const Answers::Router& router : answers.routers)
    if (!find_router(others, router.layer)) alone.push_back(router.layer);
  CARAVAN_CHECK(
      alone.empty(), IoError,
      fmt::format("of {} alone there are choices of experts in {} ({} has them in {}, the other side "
                  "in {}). Are they the same model?",
                  side, fmt::join(alone, ", "), side, counted(std::ssize(answers.routers), "layer"),
                  others.routers.size()));
}

class Comparing {
 public:
  Comparing(const Answers& a, const Answers& b, const Sequences& sequences)
      : a_(a),
        b_(b),
        sequences_(sequences),
        rows_(sequences.count * sequences.length),
        vocab_(std::ssize(a.logits) / rows_) {}

  Comparison result() {
    compare_routing();
    for (std::int64_t token = 0; token < rows_; ++token)
      if (sequences_.attends(token)) compare_logits(token);
    result_.divergence /= static_cast<double>(std::max<std::int64_t>(result_.tokens, 1));
    return result_;
  }

 private:
  void compare_logits(std::int64_t token) {
    const Row a = row_of(a_.logits, token, vocab_), b = row_of(b_.logits, token, vocab_);
    ++result_.tokens;
    result_.not_finite_a += count_not_finite(a);
    result_.not_finite_b += count_not_finite(b);
    for (std::int64_t at = 0; at < vocab_; ++at) {
      const double off = distance(a[static_cast<std::size_t>(at)], b[static_cast<std::size_t>(at)]);
      if (off <= result_.largest) continue;
      result_.largest = off;
      result_.largest_at = token * vocab_ + at;
    }
    result_.divergence += divergence(a, b);
    const auto top_a = std::max_element(a.begin(), a.end()) - a.begin(),
               top_b = std::max_element(b.begin(), b.end()) - b.begin();
    const bool have_top = count_not_finite(a) + count_not_finite(b) == 0;
    result_.same_top += have_top && top_a == top_b ? 1 : 0;
  }

  void compare_routing() {
    if (a_.routers.empty() || b_.routers.empty()) return;
    check_none_alone("A", a_, b_);
    check_none_alone("B", b_, a_);
    for (const Answers::Router& a : a_.routers) {
      const Answers::Router& b = *find_router(b_, a.layer);
      CARAVAN_CHECK(a.experts == b.experts, IoError,
                    fmt::format("{} has {} experts in A and {} in B. Are they the same model?", a.layer,
                                a.experts, b.experts));
      result_.routing.push_back({a.layer, tokens_alike(a, b)});
    }
  }

  std::int64_t tokens_alike(const Answers::Router& a, const Answers::Router& b) const {
    std::int64_t alike = 0;
    for (std::int64_t token = 0; token < rows_; ++token) {
      if (sequences_.attends(token) &&
          chose_alike(row_of(a.scores, token, a.experts), row_of(b.scores, token, b.experts)))
        ++alike;
    }
    return alike;
  }

  const Answers &a_, &b_;
  const Sequences& sequences_;
  std::int64_t rows_, vocab_;
  Comparison result_;
};

}  // namespace

Comparison compare_answers(const Answers& a, const Answers& b, const Sequences& sequences) {
  return Comparing(a, b, sequences).result();
}

}  // namespace caravan::jobs
