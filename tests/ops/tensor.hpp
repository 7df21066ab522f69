#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "caravan/random.hpp"
#include "caravan/tensor.hpp"

namespace caravan::testing {

/// Owns a small tensor; t[i] is row-major element i, wherever the stride puts it. Converts to the view that
/// operators take. With a gap, rank-2 rows are followed by that many NaN elements.
template <class T>
class BasicTensor {
 public:
  /// Zeros when no values are given.
  explicit BasicTensor(const Shape& shape, const std::vector<T>& values = {}, std::int64_t gap = 0)
      : shape_(shape), row_(shape[shape.rank() - 1]), gap_(shape.rank() == 2 ? gap : 0) {
    const std::int64_t rows = row_ == 0 ? 0 : shape.count() / row_;
    data_.assign(static_cast<std::size_t>(rows * (row_ + gap_)), std::numeric_limits<T>::quiet_NaN());
    for (std::int64_t i = 0; i < size(); ++i)
      (*this)[i] = values.empty() ? T{} : values.at(static_cast<std::size_t>(i));
  }
  /// Standard normal values that depend on the name alone, × scale.
  static BasicTensor random(std::string_view name, const Shape& shape, std::int64_t gap = 0,
                            double scale = 1) {
    BasicTensor tensor(shape, {}, gap);
    for (std::int64_t i = 0; i < tensor.size(); ++i) {
      tensor[i] = static_cast<T>(scale * normal({1, hash_name(name)}, static_cast<std::uint64_t>(i), 0));
    }
    return tensor;
  }

  std::int64_t size() const { return shape_.count(); }
  const Shape& shape() const { return shape_; }
  T& operator[](std::int64_t i) { return data_[static_cast<std::size_t>(i + i / row_ * gap_)]; }
  const T& operator[](std::int64_t i) const { return data_[static_cast<std::size_t>(i + i / row_ * gap_)]; }
  std::vector<T> values() const {
    std::vector<T> all;
    for (std::int64_t i = 0; i < size(); ++i) all.push_back((*this)[i]);
    return all;
  }

  operator TensorView() {
    TensorView view(data_.data(), dtype_of<T>, shape_);
    if (gap_ > 0) view.strides[0] = row_ + gap_;
    return view;
  }

 private:
  Shape shape_;
  std::int64_t row_, gap_;
  std::vector<T> data_;
};

using Tensor = BasicTensor<float>;
using Ids = BasicTensor<std::int32_t>;
using Scalar = BasicTensor<double>;

}  // namespace caravan::testing
