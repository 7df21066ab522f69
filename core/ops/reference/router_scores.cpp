#include "core/ops/reference/router_scores.hpp"

#include "core/ops/reference/scalar_functions.hpp"

#include <algorithm>
#include <functional>

namespace caravan::reference {
namespace {

constexpr double kNormaliserFloor = 1e-20;  // torchtitan's and the contract's guard against an empty sum

/// Index of the largest value among the allowed, the lower one of equals; the first allowed one when none
/// compares.
std::int64_t best_of(const std::vector<double>& value, const std::vector<bool>& allowed) {
  std::int64_t best = -1;
  for (std::size_t e = 0; e < value.size(); ++e) {
    if (allowed[e] && (best < 0 || value[e] > value[best])) best = static_cast<std::int64_t>(e);
  }
  return best;
}

/// The sum of the two largest of [begin, end), or the only one.
double best_two(const std::vector<double>& value, std::int64_t begin, std::int64_t end) {
  std::vector<double> group(value.begin() + begin, value.begin() + end);
  std::sort(group.begin(), group.end(), std::greater<>());
  return group.size() > 1 ? group[0] + group[1] : group[0];
}

}  // namespace

TokenRouter::TokenRouter(const Call& call, const RouterRule& rule, std::int64_t experts,
                         const Vector<float>& bias)
    : rule_(rule), experts_(experts), bias_(bias), logits_(experts) {
  if (const std::string problem = problem_with(rule, experts); !problem.empty()) call.fail(problem);
}

void TokenRouter::load(const Matrix<float>& logits, std::int64_t token) {
  for (std::int64_t e = 0; e < experts_; ++e) logits_[e] = logits(token, e);
}

std::vector<bool> TokenRouter::eligible(const std::vector<double>& value) const {
  if (rule_.groups == 0) return std::vector<bool>(experts_, true);
  const std::int64_t size = experts_ / rule_.groups;
  std::vector<double> group_score(rule_.groups);
  for (std::int64_t g = 0; g < rule_.groups; ++g) group_score[g] = best_two(value, g * size, (g + 1) * size);

  std::vector<bool> candidate(rule_.groups, true), allowed(experts_, false);
  for (std::int64_t n = 0; n < rule_.limited_groups; ++n) {
    const std::int64_t g = best_of(group_score, candidate);
    candidate[g] = false;
    std::fill_n(allowed.begin() + g * size, size, true);
  }
  return allowed;
}

std::vector<std::int32_t> TokenRouter::choose() const {
  std::vector<double> value = logits_;
  if (rule_.score == ScoreFunction::softmax) value = softmax(value);
  for (std::int64_t e = 0; e < experts_; ++e) {
    if (rule_.score == ScoreFunction::sigmoid) value[e] = sigmoid(value[e]);
    if (bias_) value[e] += bias_(e);
  }

  std::vector<bool> allowed = eligible(value);
  std::vector<std::int32_t> chosen;
  for (std::int64_t k = 0; k < rule_.top_k; ++k) {
    const std::int64_t e = best_of(value, allowed);
    allowed[e] = false;
    chosen.push_back(static_cast<std::int32_t>(e));
  }
  return chosen;
}

std::vector<double> TokenRouter::weight_logits() const {
  std::vector<double> z = logits_;
  for (std::int64_t e = 0; e < experts_; ++e) {
    if (bias_ && rule_.bias_in_weight) z[e] += bias_(e);
  }
  return z;
}

std::vector<double> TokenRouter::chosen_scores(const std::vector<std::int32_t>& chosen) const {
  std::vector<double> z = weight_logits(), picked;
  if (rule_.score == ScoreFunction::softmax) z = softmax(z);
  for (std::int32_t e : chosen)
    picked.push_back(rule_.score == ScoreFunction::sigmoid ? sigmoid(z[e]) : z[e]);
  return rule_.score == ScoreFunction::softmax_selected ? softmax(picked) : picked;
}

std::vector<double> TokenRouter::weights(const std::vector<std::int32_t>& chosen) const {
  std::vector<double> weight = chosen_scores(chosen);
  double total = kNormaliserFloor;
  for (double score : weight) total += score;
  for (double& score : weight) score *= rule_.scale / (rule_.normalise ? total : 1);
  return weight;
}

std::vector<double> TokenRouter::backward(const std::vector<std::int32_t>& chosen,
                                          const std::vector<double>& dweights) const {
  const auto k = static_cast<std::int64_t>(chosen.size());
  const std::vector<double> score = chosen_scores(chosen);
  std::vector<double> dscore(k);
  const double total = kNormaliserFloor + sum(k, [&](std::int64_t i) { return score[i]; });
  const double mean = sum(k, [&](std::int64_t i) { return dweights[i] * score[i] / total; });
  for (std::int64_t i = 0; i < k; ++i) {
    dscore[i] = rule_.scale * (rule_.normalise ? (dweights[i] - mean) / total : dweights[i]);
  }
  return dlogits(chosen, score, dscore);
}

std::vector<double> TokenRouter::dlogits(const std::vector<std::int32_t>& chosen,
                                         const std::vector<double>& score,
                                         const std::vector<double>& dscore) const {
  const auto k = static_cast<std::int64_t>(chosen.size());
  const double mean = sum(k, [&](std::int64_t i) { return dscore[i] * score[i]; });
  std::vector<double> gradient(experts_, 0.0);
  if (rule_.score == ScoreFunction::softmax) {
    const std::vector<double> probability = softmax(weight_logits());
    for (std::int64_t e = 0; e < experts_; ++e) gradient[e] = -probability[e] * mean;
  }
  for (std::int64_t i = 0; i < k; ++i) {
    switch (rule_.score) {
      case ScoreFunction::sigmoid:
        gradient[chosen[i]] = dscore[i] * score[i] * (1 - score[i]);
        break;
      case ScoreFunction::softmax:
        gradient[chosen[i]] += dscore[i] * score[i];
        break;
      case ScoreFunction::softmax_selected:
        gradient[chosen[i]] = score[i] * (dscore[i] - mean);
        break;
    }
  }
  return gradient;
}

}  // namespace caravan::reference
