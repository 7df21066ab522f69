#include "jobs/bench/ops_memory.hpp"

#include <algorithm>

#include "caravan/bf16.hpp"
#include "caravan/check.hpp"
#include "caravan/random.hpp"

namespace caravan::jobs {
namespace {

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

/// More values than this are this many, repeated: drawing and copying them would take longer than the
/// measurement. A prime, so that no two rows of a matrix are equal.
constexpr std::int64_t kDrawn = 4'194'301;

}  // namespace

TensorView BenchMemory::allocate(DType dtype, const Shape& shape) {
  const TensorView view(nullptr, dtype, shape);
  blocks_.emplace_back(device_.allocate(view.bytes(), "benchmark tensor"),
                       [device = &device_](void* data) { device->release(data); });
  return TensorView(blocks_.back().get(), dtype, shape);
}

TensorView BenchMemory::place(DType dtype, const Shape& shape, const void* values, std::int64_t count) {
  const TensorView view = allocate(dtype, shape);
  const std::size_t bytes = view.bytes();
  std::size_t filled = static_cast<std::size_t>(count) * size_of(dtype);
  auto* data = view.as<unsigned char>();
  device_.copy_from_host(Lane::compute, data, values, filled);
  for (std::size_t part = 0; filled < bytes; filled += part) {
    part = std::min(filled, bytes - filled);
    device_.copy(Lane::compute, data + filled, data, part);
  }
  device_.synchronize();
  return view;
}

TensorView BenchMemory::random_f32(const Shape& shape, float scale) {
  const std::vector<float> values = draw(draws_++, std::min(shape.count(), kDrawn), scale);
  return place(DType::f32, shape, values.data(), std::ssize(values));
}

TensorView BenchMemory::random(const Shape& shape, float scale) {
  if (device_.compute_dtype() == DType::f32) return random_f32(shape, scale);
  CARAVAN_CHECK(device_.compute_dtype() == DType::bf16, DeviceError,
                "the benchmark draws f32 and bf16 (the device computes in another type)");
  std::vector<std::uint16_t> rounded;
  for (float value : draw(draws_++, std::min(shape.count(), kDrawn), scale))
    rounded.push_back(to_bf16(value));
  return place(DType::bf16, shape, rounded.data(), std::ssize(rounded));
}

TensorView BenchMemory::zeros(DType dtype, const Shape& shape) {
  const TensorView view = allocate(dtype, shape);
  device_.fill_zero(Lane::compute, view.data, view.bytes());
  return view;
}

TensorView BenchMemory::indices(const Shape& shape, const std::vector<std::int32_t>& values) {
  return place(DType::i32, shape, values.data(), std::ssize(values));
}

}  // namespace caravan::jobs
