#include "token_router.hpp"

#include <algorithm>
#include <cmath>

namespace caravan::host {
namespace {

constexpr double kNormaliserFloor = 1e-20;  // the contract's guard against an empty sum

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

void softmax(double* x, std::int64_t count) {
  const double largest = *std::max_element(x, x + count);
  double total = 0;
  for (std::int64_t i = 0; i < count; ++i) total += std::exp(x[i] - largest);
  const double lse = largest + std::log(total);
  for (std::int64_t i = 0; i < count; ++i) x[i] = std::exp(x[i] - lse);
}

/// Takes the largest of the open ones, the lower one of equals; the first open one when none compares.
std::int64_t take_best(const double* value, std::int64_t* open, std::int64_t count) {
  std::int64_t best = -1;
  for (std::int64_t i = 0; i < count; ++i) {
    if (open[i] && (best < 0 || value[i] > value[best])) best = i;
  }
  open[best] = 0;
  return best;
}

/// The sum of the two largest, or the only one.
double best_two(const double* value, std::int64_t count) {
  if (count == 1) return value[0];
  double first = std::max(value[0], value[1]), second = std::min(value[0], value[1]);
  for (std::int64_t i = 2; i < count; ++i) {
    second = std::max(second, std::min(first, value[i]));
    first = std::max(first, value[i]);
  }
  return first + second;
}

}  // namespace

TokenRouter::TokenRouter(const RouterRule& rule, std::int64_t experts, const float* bias, Workspace& scratch)
    : rule_(rule), experts_(experts), bias_(bias) {
  const auto width = static_cast<std::size_t>(experts), k = static_cast<std::size_t>(rule.top_k),
             groups = static_cast<std::size_t>(rule.groups);
  scratch.begin(2 * (4 * width + 2 * k + 2 * groups), 8);
  for (double** line : {&logits_, &value_, &gradient_}) *line = scratch.take_as<double>(width);
  for (double** line : {&picked_, &dscore_}) *line = scratch.take_as<double>(k);
  group_score_ = scratch.take_as<double>(groups);
  open_ = scratch.take_as<std::int64_t>(width);
  open_group_ = scratch.take_as<std::int64_t>(groups);
}

void TokenRouter::load(const float* logits) {
  std::copy_n(logits, experts_, logits_);
}

void TokenRouter::limit_groups() {
  const std::int64_t size = experts_ / rule_.groups;
  for (std::int64_t g = 0; g < rule_.groups; ++g) group_score_[g] = best_two(value_ + g * size, size);
  std::fill_n(open_, experts_, 0);
  std::fill_n(open_group_, rule_.groups, 1);
  for (std::int64_t n = 0; n < rule_.limited_groups; ++n) {
    std::fill_n(open_ + take_best(group_score_, open_group_, rule_.groups) * size, size, 1);
  }
}

void TokenRouter::choose(std::int32_t* chosen) {
  std::copy_n(logits_, experts_, value_);
  if (rule_.score == ScoreFunction::softmax) softmax(value_, experts_);
  for (std::int64_t e = 0; e < experts_; ++e) {
    if (rule_.score == ScoreFunction::sigmoid) value_[e] = sigmoid(value_[e]);
    if (bias_) value_[e] += bias_[e];
  }
  std::fill_n(open_, experts_, 1);
  if (rule_.groups > 0) limit_groups();
  for (std::int64_t k = 0; k < rule_.top_k; ++k) {
    chosen[k] = static_cast<std::int32_t>(take_best(value_, open_, experts_));
  }
}

double TokenRouter::weight_logit(std::int64_t expert) const {
  return bias_ && rule_.bias_in_weight ? logits_[expert] + bias_[expert] : logits_[expert];
}

void TokenRouter::pick(const std::int32_t* chosen) {
  const std::int64_t k = rule_.top_k;
  if (rule_.score == ScoreFunction::softmax) {
    for (std::int64_t e = 0; e < experts_; ++e) value_[e] = weight_logit(e);
    softmax(value_, experts_);
    for (std::int64_t i = 0; i < k; ++i) picked_[i] = value_[chosen[i]];
    return;
  }
  for (std::int64_t i = 0; i < k; ++i) picked_[i] = weight_logit(chosen[i]);
  if (rule_.score == ScoreFunction::softmax_selected) return softmax(picked_, k);
  for (std::int64_t i = 0; i < k; ++i) picked_[i] = sigmoid(picked_[i]);
}

double TokenRouter::total() const {
  double sum = kNormaliserFloor;
  for (std::int64_t i = 0; i < rule_.top_k; ++i) sum += picked_[i];
  return sum;
}

void TokenRouter::weights(const std::int32_t* chosen, float* to) {
  pick(chosen);
  const double factor = rule_.scale / (rule_.normalise ? total() : 1);
  for (std::int64_t i = 0; i < rule_.top_k; ++i) to[i] = static_cast<float>(picked_[i] * factor);
}

void TokenRouter::score_gradient(const float* dweights) {
  const double sum = total();
  double mean = 0;
  for (std::int64_t i = 0; i < rule_.top_k; ++i) mean += dweights[i] * picked_[i] / sum;
  for (std::int64_t i = 0; i < rule_.top_k; ++i) {
    dscore_[i] = rule_.scale * (rule_.normalise ? (dweights[i] - mean) / sum : double{dweights[i]});
  }
}

const double* TokenRouter::backward(const std::int32_t* chosen, const float* dweights) {
  const std::int64_t k = rule_.top_k;
  pick(chosen);
  score_gradient(dweights);
  double mean = 0;
  for (std::int64_t i = 0; i < k; ++i) mean += dscore_[i] * picked_[i];
  const bool all = rule_.score == ScoreFunction::softmax;
  for (std::int64_t e = 0; e < experts_; ++e) gradient_[e] = all ? -value_[e] * mean : 0.0;
  for (std::int64_t i = 0; i < k; ++i) {
    double& to = gradient_[chosen[i]];
    switch (rule_.score) {
      case ScoreFunction::sigmoid:
        to = dscore_[i] * picked_[i] * (1 - picked_[i]);
        break;
      case ScoreFunction::softmax:
        to += dscore_[i] * picked_[i];
        break;
      case ScoreFunction::softmax_selected:
        to = picked_[i] * (dscore_[i] - mean);
        break;
    }
  }
  return gradient_;
}

}  // namespace caravan::host
