#pragma once

#include "caravan/ops/linear.hpp"
#include "core/ops/reference/array.hpp"

// The three products of a linear layer y = x·wᵀ, one element at a time. x [T, M], w [N, M], y [T, N].
namespace caravan::reference {

/// (x·wᵀ)[t, n]
inline double output_element(const Matrix<float>& x, const Matrix<float>& w, std::int64_t t, std::int64_t n) {
  return sum(x.extent(1), [&](std::int64_t m) { return double{x(t, m)} * w(n, m); });
}

/// (dy·w)[t, m]
inline double input_gradient(const Matrix<float>& dy, const Matrix<float>& w, std::int64_t t,
                             std::int64_t m) {
  return sum(dy.extent(1), [&](std::int64_t n) { return double{dy(t, n)} * w(n, m); });
}

/// (dyᵀ·x)[n, m]
inline double weight_gradient(const Matrix<float>& dy, const Matrix<float>& x, std::int64_t n,
                              std::int64_t m) {
  return sum(dy.extent(0), [&](std::int64_t t) { return double{dy(t, n)} * x(t, m); });
}

/// What a sum into an element that holds `value` begins with.
inline double start(Accumulate accumulate, double value) {
  return accumulate == Accumulate::add ? value : 0;
}

/// y[i, j] = value(i, j), rounded once.
template <class Value>
void fill(const Matrix<float>& y, const Value& value) {
  for (std::int64_t i = 0; i < y.extent(0); ++i) {
    for (std::int64_t j = 0; j < y.extent(1); ++j) y(i, j) = static_cast<float>(value(i, j));
  }
}

}  // namespace caravan::reference
