#pragma once

#include <cstdint>
#include <vector>

#include "caravan/ops.hpp"
#include "core/ops/reference/call.hpp"

namespace caravan::reference {

/// Scores, choice and weights of one token, all in double. E experts, K = rule.top_k.
class TokenRouter {
 public:
  /// DeviceError when the rule and the number of experts do not fit.
  TokenRouter(const Call& call, const RouterRule& rule, std::int64_t experts, const Vector<float>& bias);

  /// Sets the logits that the following questions are about.
  void load(const Matrix<float>& logits, std::int64_t token);

  /// The K experts of the highest score + bias among the eligible groups, by falling value, ties to the lower
  /// expert.
  std::vector<std::int32_t> choose() const;
  /// Weights of the chosen experts.
  std::vector<double> weights(const std::vector<std::int32_t>& chosen) const;
  /// dL/d(logits) [E] from dL/d(weights) [K].
  std::vector<double> backward(const std::vector<std::int32_t>& chosen,
                               const std::vector<double>& dweights) const;

 private:
  std::vector<bool> eligible(const std::vector<double>& value) const;
  /// What the scores in the weights are functions of: logits, + bias when the rule says so.
  std::vector<double> weight_logits() const;
  /// The scores of the chosen that the weights are made of.
  std::vector<double> chosen_scores(const std::vector<std::int32_t>& chosen) const;
  std::vector<double> dlogits(const std::vector<std::int32_t>& chosen, const std::vector<double>& score,
                              const std::vector<double>& dscore) const;

  const RouterRule& rule_;
  std::int64_t experts_;
  Vector<float> bias_;
  std::vector<double> logits_;
};

}  // namespace caravan::reference
