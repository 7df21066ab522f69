#pragma once

#include <cstdint>

#include "caravan/ops.hpp"
#include "memory.hpp"

namespace caravan::host {

/// Scores, choice and weights of one token, in double and term by term in the order of the reference, so that
/// both choose the same experts down to the last tie. E experts, K = rule.top_k.
class TokenRouter {
 public:
  /// Lives in `scratch` until its next begin(); `rule` must outlive this, and so must `bias` [E] or null.
  TokenRouter(const RouterRule& rule, std::int64_t experts, const float* bias, Workspace& scratch);

  /// The logits [E] that the following questions are about.
  void load(const float* logits);
  /// The K experts of the highest score + bias among the eligible groups, by falling value, ties to the lower
  /// expert.
  void choose(std::int32_t* chosen);
  /// Weights [K] of the chosen experts.
  void weights(const std::int32_t* chosen, float* to);
  /// dL/d(logits) [E] from dL/d(weights) [K]; valid until the next call.
  const double* backward(const std::int32_t* chosen, const float* dweights);

 private:
  /// Opens only the experts of the best groups.
  void limit_groups();
  /// What the scores in the weights are functions of: the logit, + bias when the rule says so.
  double weight_logit(std::int64_t expert) const;
  /// Fills picked_, and for softmax value_ with the probabilities of all experts.
  void pick(const std::int32_t* chosen);
  /// Fills dscore_.
  void score_gradient(const float* dweights);
  double total() const;

  const RouterRule& rule_;
  std::int64_t experts_;
  const float* bias_;
  double *logits_, *value_, *gradient_;  ///< [E]
  double *picked_, *dscore_;             ///< [K]: scores that the weights are made of, and their gradients
  double* group_score_;                  ///< [groups]
  std::int64_t *open_, *open_group_;     ///< [E], [groups]: whether it may still be chosen
};

}  // namespace caravan::host
