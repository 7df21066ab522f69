#include "jobs/bench/ops_memory.hpp"

#include <bit>

#include "caravan/check.hpp"
#include "caravan/random.hpp"

namespace caravan::jobs {
namespace {

/// Round to nearest even; the values drawn here are finite.
std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

/// Evenly spread over ±√3·scale, so that the root mean square is `scale`; four values of each draw.
std::vector<float> draw(std::uint64_t stream, std::int64_t count, float scale) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); i += 4) {
    const auto bits = philox({17, stream}, 0, i / 4);
    for (std::size_t k = 0; k < 4 && i + k < values.size(); ++k) {
      values[i + k] = scale * 3.4641016f * (unit_float(bits[k]) - 0.5f);
    }
  }
  return values;
}

}  // namespace

TensorView BenchMemory::place(DType dtype, const Shape& shape, const void* values) {
  const auto bytes = static_cast<std::size_t>(shape.count()) * size_of(dtype);
  blocks_.emplace_back(device_.allocate(bytes, "benchmark tensor"),
                       [device = &device_](void* data) { device->release(data); });
  void* data = blocks_.back().get();
  if (values) {
    device_.copy_from_host(Lane::compute, data, values, bytes);
    device_.synchronize();
  } else {
    device_.fill_zero(Lane::compute, data, bytes);
  }
  return TensorView(data, dtype, shape);
}

TensorView BenchMemory::random_f32(const Shape& shape, float scale) {
  return place(DType::f32, shape, draw(draws_++, shape.count(), scale).data());
}

TensorView BenchMemory::random(const Shape& shape, float scale) {
  if (device_.compute_dtype() == DType::f32) return random_f32(shape, scale);
  CARAVAN_CHECK(device_.compute_dtype() == DType::bf16, DeviceError,
                "the benchmark draws f32 and bf16 (the device computes in another type)");
  std::vector<std::uint16_t> rounded;
  for (float value : draw(draws_++, shape.count(), scale)) rounded.push_back(to_bf16(value));
  return place(DType::bf16, shape, rounded.data());
}

TensorView BenchMemory::zeros(DType dtype, const Shape& shape) {
  return place(dtype, shape, nullptr);
}

TensorView BenchMemory::indices(const Shape& shape, const std::vector<std::int32_t>& values) {
  return place(DType::i32, shape, values.data());
}

}  // namespace caravan::jobs
