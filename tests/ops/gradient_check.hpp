#pragma once

#include <gtest/gtest.h>

#include <functional>

#include "tests/ops/tensor.hpp"

namespace caravan::testing {

/// Σ r·y, the scalar that gradients are taken of: dL/dy = r.
double weighted_sum(const Tensor& r, const Tensor& y);

/// Whether `gradient` is d(loss)/dx, by five-point differences in each element of x: ‖difference‖ ≤
/// 3e-4·‖numeric‖ + 1e-5·√n. The bound is what f32 storage leaves: 2⁻²⁴·|loss terms| / step for the outputs,
/// step 2⁻⁶, and h⁴ for the formula. `loss` reads x anew at each call. x is restored.
::testing::AssertionResult is_gradient(const Tensor& gradient, Tensor& x,
                                       const std::function<double()>& loss);

/// Norm of the difference / norm of b.
double relative_difference(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace caravan::testing
