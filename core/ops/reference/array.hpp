#pragma once

#include <array>
#include <cstdint>

namespace caravan::reference {

/// A checked view whose element type and number of axes are known: a(i, j) is element [i, j], strides
/// honoured.
template <class T, int Rank>
struct Array {
  T* data = nullptr;
  std::array<std::int64_t, Rank> extents{};
  std::array<std::int64_t, Rank> strides{};

  explicit operator bool() const noexcept { return data != nullptr; }
  std::int64_t extent(int axis) const noexcept { return extents[static_cast<std::size_t>(axis)]; }

  template <class... Index>
  T& operator()(Index... index) const noexcept {
    static_assert(sizeof...(Index) == Rank);
    std::size_t axis = 0;
    std::int64_t offset = 0;
    ((offset += index * strides[axis++]), ...);
    return data[offset];
  }

  /// Rows [begin, end) of axis 0.
  Array rows(std::int64_t begin, std::int64_t end) const noexcept {
    Array part = *this;
    part.data += begin * strides[0];
    part.extents[0] = end - begin;
    return part;
  }
};

template <class T>
using Vector = Array<T, 1>;
template <class T>
using Matrix = Array<T, 2>;

/// Matrix number `index` of a stack of matrices.
template <class T>
Matrix<T> matrix_of(const Array<T, 3>& stack, std::int64_t index) noexcept {
  return {stack.data + index * stack.strides[0],
          {stack.extents[1], stack.extents[2]},
          {stack.strides[1], stack.strides[2]}};
}

/// Σ of term(i) for i in [0, count), in double.
template <class Term>
double sum(std::int64_t count, const Term& term) {
  double total = 0;
  for (std::int64_t i = 0; i < count; ++i) total += term(i);
  return total;
}

}  // namespace caravan::reference
