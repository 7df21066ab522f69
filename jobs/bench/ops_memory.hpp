#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "caravan/device.hpp"
#include "caravan/tensor.hpp"

namespace caravan::jobs {

/// Owns the tensors of one measured operator, in the memory of the device.
class BenchMemory {
 public:
  explicit BenchMemory(Device& device) : device_(device) {}

  /// Random values with root mean square `scale`, activations and weights: the device's compute type.
  TensorView random(const Shape& shape, float scale = 1);
  /// The same in f32: statistics, gradients of weights, optimizer state.
  TensorView random_f32(const Shape& shape, float scale = 1);
  TensorView zeros(DType dtype, const Shape& shape);
  /// Zeros in the compute type.
  TensorView output(const Shape& shape) { return zeros(device_.compute_dtype(), shape); }
  TensorView indices(const Shape& shape, const std::vector<std::int32_t>& values);
  Device& device() { return device_; }
  /// Bytes of an element of the compute type.
  double compute_bytes() const { return static_cast<double>(size_of(device_.compute_dtype())); }

 private:
  TensorView allocate(DType dtype, const Shape& shape);
  /// Fills it with `count` values, over and over.
  TensorView place(DType dtype, const Shape& shape, const void* values, std::int64_t count);

  Device& device_;
  std::uint64_t draws_ = 0;
  std::vector<std::shared_ptr<void>> blocks_;
};

}  // namespace caravan::jobs
