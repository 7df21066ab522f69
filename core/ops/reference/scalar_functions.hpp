#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace caravan::reference {

inline double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

/// ln(1 + eˣ)
inline double softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

/// ln Σ exp of at least one value.
inline double log_sum_exp(const std::vector<double>& x) {
  const double largest = *std::max_element(x.begin(), x.end());
  double total = 0;
  for (double value : x) total += std::exp(value - largest);
  return largest + std::log(total);
}

/// exp(x)/Σ exp(x) of at least one value.
inline std::vector<double> softmax(std::vector<double> x) {
  const double lse = log_sum_exp(x);
  for (double& value : x) value = std::exp(value - lse);
  return x;
}

}  // namespace caravan::reference
