#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "caravan/random.hpp"
#include "caravan/tensor.hpp"

namespace caravan {

/// The data of `rank` in a test: any rank can compute what another one holds. Small integers, so that sums
/// are exact in any order.
template <class T>
std::vector<T> filled(std::int64_t count, int rank, std::uint64_t stream = 0) {
  std::vector<T> data(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < data.size(); ++i) {
    const float draw = uniform({7, stream}, static_cast<std::uint64_t>(rank), i);
    data[i] = static_cast<T>(static_cast<int>(draw * 32.0f));
  }
  return data;
}

template <class T>
TensorView view_of(std::vector<T>& data) {
  return TensorView(data.data(), std::is_same_v<T, std::uint8_t> ? DType::u8 : dtype_of<T>,
                    {static_cast<std::int64_t>(data.size())});
}

template <class T>
TensorView view_of(std::vector<T>& data, const Shape& shape) {
  return view_of(data).reshape(shape);
}

}  // namespace caravan
