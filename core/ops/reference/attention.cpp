#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "caravan/reference_ops.hpp"
#include "core/ops/reference/attention_mask.hpp"
#include "core/ops/reference/call.hpp"

namespace caravan {

using namespace reference;

namespace {

using Heads = Array<float, 4>;

constexpr double kNothing = -std::numeric_limits<double>::infinity();

/// ln Σ exp of scores, −∞ when no key is visible.
double log_sum_exp(const std::vector<double>& scores) {
  double largest = kNothing, total = 0;
  for (const double score : scores) largest = std::max(largest, score);
  if (largest == kNothing) return kNothing;
  for (const double score : scores) total += std::exp(score - largest);
  return largest + std::log(total);
}

/// Scores become probabilities.
void normalise(std::vector<double>& scores, double lse) {
  for (double& score : scores) score = score == kNothing ? 0 : std::exp(score - lse);
}

/// ln(exp a + exp b)
double sum_of_logs(double a, double b) {
  const double largest = std::max(a, b);
  return largest == kNothing ? kNothing : largest + std::log(std::exp(a - largest) + std::exp(b - largest));
}

struct Row {
  std::int64_t b, head, i;  ///< sequence, query head, query
};

/// What forward and backward share: the checked inputs, the mask, and the probabilities of one query.
class Scores {
 public:
  template <class Args>
  Scores(const Call& call, const Args& args)
      : q(call.array<float, 4>("q", args.q, {kAny, kAny, kAny, kAny})),
        k(call.array<float, 4>("k", args.k, {q.extent(0), kAny, kAny, q.extent(3)})),
        v(call.array<float, 4>("v", args.v, {q.extent(0), k.extent(1), k.extent(2), q.extent(3)})),
        scale_(args.scale),
        mask_(args.mask),
        sees_(call, args.mask, q, k),
        dropout_(args.dropout) {
    if (k.extent(2) == 0 || q.extent(2) % k.extent(2) != 0) {
      call.fail(
          fmt::format("{} query heads on {} key/value heads (must be a multiple)", q.extent(2), k.extent(2)));
    }
    const std::string problem = problem_with(dropout_, mask_, q.extent(1), k.extent(1));
    if (!problem.empty()) call.fail(problem);
  }

  std::int64_t kv_head(std::int64_t head) const { return head * k.extent(2) / q.extent(2); }

  /// The scaled scores of the visible keys, −∞ elsewhere.
  void put(const Row& row, std::vector<double>& scores) const {
    for (std::int64_t j = 0; j < k.extent(1); ++j)
      scores[j] = sees_(row.b, row.i, j) ? score(row, j) : kNothing;
  }

  /// 0 or 1/(1−p) of probability j.
  double kept(const Row& row, std::int64_t j) const {
    if (dropout_.probability == 0) return 1;
    const std::int64_t length = dropout_.global_length, query = mask_.first_query + row.i;
    const std::int64_t head = dropout_.first_head + row.head;
    const std::int64_t column = (head * length + query) * length + mask_.first_key + j;
    return dropout_factor(dropout_.key, dropout_.first_sample + row.b, column, dropout_.probability);
  }

  const Heads q, k, v;

 private:
  double score(const Row& row, std::int64_t j) const {
    const std::int64_t g = kv_head(row.head);
    return scale_ * sum(q.extent(3), [&](std::int64_t d) {
             return double{q(row.b, row.i, row.head, d)} * k(row.b, j, g, d);
           });
  }

  double scale_;
  AttentionMask mask_;
  SeenKeys sees_;
  AttentionDropout dropout_;
};

/// One call of visit(row) for each query of each head of each sequence.
template <class Visit>
void for_each_row(const Heads& q, const Visit& visit) {
  for (std::int64_t b = 0; b < q.extent(0); ++b) {
    for (std::int64_t head = 0; head < q.extent(2); ++head) {
      for (std::int64_t i = 0; i < q.extent(1); ++i) visit(Row{b, head, i});
    }
  }
}

}  // namespace

void ReferenceOps::attention_forward(const AttentionForward& args) {
  const Call call("attention_forward");
  const Scores s(call, args);
  const auto out = call.array<float, 4>("out", args.out, s.q.extents);
  const auto lse = call.f32_array<3>("lse", args.lse, {s.q.extent(0), s.q.extent(2), s.q.extent(1)});
  const std::int64_t keys = s.k.extent(1);
  std::vector<double> p(keys);

  for_each_row(s.q, [&](const Row& row) {
    const double before = args.adds ? double{lse(row.b, row.head, row.i)} : kNothing;
    s.put(row, p);
    const double all = sum_of_logs(before, log_sum_exp(p));
    const double share = before == kNothing ? 0 : std::exp(before - all);
    lse(row.b, row.head, row.i) = static_cast<float>(all);
    normalise(p, all);
    for (std::int64_t j = 0; j < keys; ++j) {
      if (p[j] > 0) p[j] *= s.kept(row, j);
    }
    for (std::int64_t d = 0; d < out.extent(3); ++d) {
      const double others = share > 0 ? share * out(row.b, row.i, row.head, d) : 0;
      out(row.b, row.i, row.head, d) = static_cast<float>(
          others + sum(keys, [&](std::int64_t j) { return p[j] * s.v(row.b, j, s.kv_head(row.head), d); }));
    }
  });
}

namespace {

/// Sums of gradients in double; rounded once at the end.
class GradientSum {
 public:
  explicit GradientSum(const Heads& to)
      : to_(to), sums_(to.extent(0) * to.extent(1) * to.extent(2) * to.extent(3)) {}
  void start_with_what_is_there() {
    for_each_row(to_, [&](const Row& row) {
      for (std::int64_t d = 0; d < to_.extent(3); ++d)
        (*this)(row.b, row.i, row.head, d) = to_(row.b, row.i, row.head, d);
    });
  }

  double& operator()(std::int64_t b, std::int64_t j, std::int64_t g, std::int64_t d) {
    return sums_[((b * to_.extent(1) + j) * to_.extent(2) + g) * to_.extent(3) + d];
  }
  void store() {
    for_each_row(to_, [&](const Row& row) {
      for (std::int64_t d = 0; d < to_.extent(3); ++d) {
        to_(row.b, row.i, row.head, d) = static_cast<float>((*this)(row.b, row.i, row.head, d));
      }
    });
  }

 private:
  Heads to_;
  std::vector<double> sums_;
};

}  // namespace

void ReferenceOps::attention_backward(const AttentionBackward& args) {
  const Call call("attention_backward");
  const Scores s(call, args);
  const auto dout = call.array<float, 4>("dout", args.dout, s.q.extents);
  const auto out = call.array<float, 4>("out", args.out, s.q.extents);
  const auto lse = call.f32_array<3>("lse", args.lse, {s.q.extent(0), s.q.extent(2), s.q.extent(1)});
  GradientSum dq(call.array<float, 4>("dq", args.dq, s.q.extents));
  GradientSum dk(call.array<float, 4>("dk", args.dk, s.k.extents));
  GradientSum dv(call.array<float, 4>("dv", args.dv, s.v.extents));
  const std::int64_t keys = s.k.extent(1), width = s.q.extent(3);
  std::vector<double> p(keys), dp(keys);
  if (args.adds) dq.start_with_what_is_there();

  for_each_row(s.q, [&](const Row& row) {
    const auto [b, head, i] = row;
    const std::int64_t g = s.kv_head(head);
    s.put(row, p);
    normalise(p, lse(b, head, i));
    for (std::int64_t j = 0; j < keys; ++j) {
      const double kept = p[j] > 0 ? s.kept(row, j) : 0;
      dp[j] =
          kept * sum(width, [&](std::int64_t d) { return double{dout(b, i, head, d)} * s.v(b, j, g, d); });
      for (std::int64_t d = 0; d < width; ++d) dv(b, j, g, d) += kept * p[j] * dout(b, i, head, d);
    }
    const double mean =
        sum(width, [&](std::int64_t d) { return double{dout(b, i, head, d)} * out(b, i, head, d); });
    for (std::int64_t j = 0; j < keys; ++j) {
      const double dscore = args.scale * p[j] * (dp[j] - mean);
      for (std::int64_t d = 0; d < width; ++d) {
        dq(b, i, head, d) += dscore * s.k(b, j, g, d);
        dk(b, j, g, d) += dscore * s.q(b, i, head, d);
      }
    }
  });
  dq.store();
  dk.store();
  dv.store();
}

}  // namespace caravan
