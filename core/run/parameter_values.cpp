#include <algorithm>

#include "caravan/bf16.hpp"
#include "caravan/check.hpp"
#include "caravan/parameter.hpp"
#include "core/run/host_values.hpp"

namespace caravan {
namespace {

std::vector<std::uint16_t> rounded(const TensorView& values) {
  std::vector<std::uint16_t> result(static_cast<std::size_t>(values.count()));
  std::transform(values.as<float>(), values.as<float>() + result.size(), result.begin(), to_bf16);
  return result;
}

TensorView widened(Device& device, const TensorView& tensor, std::vector<float>& room) {
  std::vector<std::uint16_t> values(static_cast<std::size_t>(tensor.count()));
  device.copy_to_host(Lane::compute, values.data(), tensor.data, tensor.bytes());
  device.synchronize();
  room.resize(std::max(room.size(), values.size()));
  std::transform(values.begin(), values.end(), room.begin(), from_bf16);
  return TensorView(room.data(), DType::f32, tensor.shape);
}

}  // namespace

TensorView on_host(Device& device, const TensorView& tensor, std::vector<float>& room) {
  CARAVAN_EXPECT(tensor.contiguous());
  if (tensor.dtype == DType::bf16) return widened(device, tensor, room);
  CARAVAN_EXPECT(tensor.dtype == DType::f32);
  if (device.memory() == caravan::Memory::host) return tensor;
  room.resize(std::max(room.size(), static_cast<std::size_t>(tensor.count())));
  device.copy_to_host(Lane::compute, room.data(), tensor.data, tensor.bytes());
  device.synchronize();
  return TensorView(room.data(), DType::f32, tensor.shape);
}

void ParameterStore::set(const TensorView& tensor, const Fill& fill) {
  CARAVAN_EXPECT(tensor.dtype == DType::f32 && tensor.contiguous());
  if (device_->memory() == caravan::Memory::host) return fill(tensor);
  std::vector<float> room(static_cast<std::size_t>(tensor.count()));
  fill(TensorView(room.data(), DType::f32, tensor.shape));
  device_->copy_from_host(Lane::compute, tensor.data, room.data(), tensor.bytes());
}

void ParameterStore::set_weight(const Fragment& fragment, const Fill& fill, std::span<std::byte> room) {
  CARAVAN_EXPECT(fragment.master.empty());
  if (device_->memory() == caravan::Memory::host) return fill(fragment.weight);
  CARAVAN_EXPECT(room.size() >= fragment.weight.bytes());
  fill(TensorView(room.data(), compute_, {fragment.count()}));
  device_->copy_from_host(Lane::compute, fragment.weight.data, room.data(), fragment.weight.bytes());
}

void ParameterStore::set(const Fragment& fragment, const Fill& fill) {
  if (compute_ == DType::f32) return set(fragment.master, fill);
  CARAVAN_EXPECT(compute_ == DType::bf16);
  const auto fill_both = [&](const TensorView& values) {
    fill(values);
    device_->copy_from_host(Lane::compute, fragment.weight.data, rounded(values).data(),
                            fragment.weight.bytes());
  };
  if (!fragment.master.empty()) return set(fragment.master, fill_both);
  std::vector<float> room(static_cast<std::size_t>(fragment.count()));
  fill_both(TensorView(room.data(), DType::f32, {fragment.count()}));
}

}  // namespace caravan
