#include "tests/ops/gradient_check.hpp"

#include <fmt/format.h>

#include <cmath>

namespace caravan::testing {
namespace {

constexpr float kStep = 0x1p-6f;

double derivative(Tensor& x, std::int64_t i, const std::function<double()>& loss) {
  const float centre = x[i];
  const auto at = [&](int steps) {
    x[i] = centre + static_cast<float>(steps) * kStep;
    return loss();
  };
  const double result = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * double{kStep});
  x[i] = centre;
  return result;
}

}  // namespace

double weighted_sum(const Tensor& r, const Tensor& y) {
  double total = 0;
  for (std::int64_t i = 0; i < y.size(); ++i) total += double{r[i]} * y[i];
  return total;
}

::testing::AssertionResult is_gradient(const Tensor& gradient, Tensor& x,
                                       const std::function<double()>& loss) {
  double difference = 0, norm = 0, worst = 0;
  std::int64_t worst_at = 0;
  std::vector<double> numeric;
  for (std::int64_t i = 0; i < x.size(); ++i) {
    numeric.push_back(derivative(x, i, loss));
    const double error = std::abs(numeric.back() - gradient[i]);
    difference += error * error;
    norm += numeric.back() * numeric.back();
    if (!(error <= worst)) worst = error, worst_at = i;
  }
  const double bound = 3e-4 * std::sqrt(norm) + 1e-5 * std::sqrt(static_cast<double>(x.size()));
  if (std::sqrt(difference) <= bound) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << fmt::format("norm of the difference {:.3g} > {:.3g}; worst at {}: {:.8g}, by differences {:.8g}",
                        std::sqrt(difference), bound, worst_at, gradient[worst_at],
                        numeric[static_cast<std::size_t>(worst_at)]);
}

double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += std::pow(double{a.at(i)} - b[i], 2);
    norm += std::pow(double{b[i]}, 2);
  }
  return std::sqrt(difference / norm);
}

}  // namespace caravan::testing
