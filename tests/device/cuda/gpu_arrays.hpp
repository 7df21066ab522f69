#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "caravan/tensor.hpp"

// Arrays that are made, filled and compared on the GPU, because they are too large for the processor.
namespace caravan::testing {

/// f32 or bf16 elements in device memory, all bytes 0xFF (a NaN) to begin with.
class GpuArray {
 public:
  GpuArray(DType dtype, std::int64_t count);
  explicit GpuArray(const std::vector<std::int32_t>& values);

  void* data() const { return data_.get(); }
  template <class T>
  T* as() const {
    return static_cast<T*>(data());
  }
  std::int64_t count() const { return count_; }
  DType dtype() const { return dtype_; }
  std::size_t bytes() const;

  /// Approximately standard normal values from [first, first + count), the same for the same seed.
  void draw(std::uint32_t seed, std::int64_t first, std::int64_t count) const;
  void draw(std::uint32_t seed) const { draw(seed, 0, count_); }

 private:
  DType dtype_;
  std::int64_t count_;
  std::shared_ptr<void> data_;
};

/// How two arrays of one type differ.
struct Difference {
  double largest = 0;        ///< |a − b| / (|b| + root mean square of b)
  std::int64_t bits = 0;     ///< elements whose bits differ
  std::int64_t one_nan = 0;  ///< elements that are a number in one and none in the other
};
Difference difference(const GpuArray& a, const GpuArray& b);

}  // namespace caravan::testing
