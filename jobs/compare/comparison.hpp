#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jobs/forward/forward_pass.hpp"

namespace caravan::jobs {

/// Where two models of one vocabulary part, over the tokens that are not masked.
struct Comparison {
  struct Layer {
    std::string name;        ///< "layers.3"
    std::int64_t alike = 0;  ///< tokens that took the same experts
  };

  std::int64_t tokens = 0;                          ///< compared
  double largest = 0;                               ///< |a - b| of logits; infinite where one is not finite
  std::int64_t largest_at = 0;                      ///< among [B·T, V]
  std::int64_t not_finite_a = 0, not_finite_b = 0;  ///< logits
  double divergence = 0;                            ///< mean KL(A || B); NaN where a logit is not finite
  std::int64_t same_top = 0;                        ///< tokens whose likeliest next token is the same
  std::vector<Layer> routing;  ///< of each layer with experts; empty where A or B says nothing of them
};

/// IoError where the layers with experts, or how many these are, differ. `a` and `b` are answers to the same
/// sequences.
Comparison compare_answers(const Answers& a, const Answers& b, const Sequences& sequences);

}  // namespace caravan::jobs
