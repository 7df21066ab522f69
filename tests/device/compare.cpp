#include "tests/device/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <new>

#include "caravan/error.hpp"
#include "caravan/reference_ops.hpp"

namespace caravan::testing {
namespace {

constexpr std::size_t kGuard = 256;  // bytes before and after the operand; keeps 64-byte alignment
constexpr unsigned char kSentinel = 0xFF;

float widen(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// Round to nearest even; NaN stays NaN.
std::uint16_t to_bf16(double value) {
  if (std::isnan(value)) return 0xFFFF;
  const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
  return static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

template <class T>
void put_as(unsigned char* to, T value) {
  std::memcpy(to, &value, sizeof value);
}
template <class T>
T get_as(const unsigned char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

void put(unsigned char* to, DType dtype, double value) {
  switch (dtype) {
    case DType::f32:
      return put_as(to, static_cast<float>(value));
    case DType::f64:
      return put_as(to, value);
    case DType::i32:
      return put_as(to, static_cast<std::int32_t>(value));
    case DType::i64:
      return put_as(to, static_cast<std::int64_t>(value));
    case DType::u8:
      return put_as(to, static_cast<std::uint8_t>(value));
    case DType::bf16:
      return put_as(to, to_bf16(value));
    default:
      throw Error(fmt::format("no test operand is {}", name_of(dtype)));
  }
}

double get(const unsigned char* from, DType dtype) {
  switch (dtype) {
    case DType::f32:
      return get_as<float>(from);
    case DType::f64:
      return get_as<double>(from);
    case DType::i32:
      return get_as<std::int32_t>(from);
    case DType::i64:
      return static_cast<double>(get_as<std::int64_t>(from));
    case DType::u8:
      return get_as<std::uint8_t>(from);
    case DType::bf16:
      return widen(get_as<std::uint16_t>(from));
    default:
      throw Error(fmt::format("no test operand is {}", name_of(dtype)));
  }
}

std::int64_t row_length(const Shape& shape) {
  const int last = shape.rank() - 1;
  return shape.rank() == 4 ? shape[last - 1] * shape[last] : shape[last];
}

/// Offset in elements of row-major element i.
std::int64_t offset_of(const Operand& operand, std::int64_t i) {
  return i + i / row_length(operand.shape) * operand.gap;
}

TensorView view_of(const Operand& operand, void* data) {
  TensorView view(data, operand.dtype, operand.shape);
  const int rank = operand.shape.rank();
  if (operand.gap == 0 || rank < 2) return view;
  const std::size_t row_axis = rank == 4 ? 1 : 0;
  view.strides[row_axis] = row_length(operand.shape) + operand.gap;
  if (rank == 4) view.strides[0] = operand.shape[1] * view.strides[1];
  return view;
}

std::shared_ptr<void> allocate(Device* device, std::size_t bytes) {
  if (device) {
    return {device->allocate(bytes, "test operand"), [device](void* data) { device->release(data); }};
  }
  constexpr std::align_val_t kAlignment{64};
  return {::operator new(bytes, kAlignment), [](void* data) { ::operator delete(data, kAlignment); }};
}

bool is_untouched(double value) {
  return std::isnan(value);
}

double root_mean_square(const std::vector<double>& values) {
  double total = 0;
  std::size_t count = 0;
  for (double value : values) {
    if (std::isfinite(value)) total += value * value, ++count;
  }
  return count == 0 ? 0 : std::sqrt(total / static_cast<double>(count));
}

bool close(double actual, double expected, double scale, DType dtype) {
  if (is_untouched(expected)) return is_untouched(actual);
  if (actual == expected) return true;
  return std::abs(actual - expected) <= tolerance_of(dtype) * (std::abs(expected) + scale);
}

std::vector<Placed> place(const std::vector<Operand>& operands, Device* device) {
  std::vector<Placed> placed;
  for (const Operand& operand : operands) placed.emplace_back(operand, device);
  return placed;
}

Views views_of(const std::vector<Placed>& placed) {
  std::vector<TensorView> views;
  for (const Placed& one : placed) views.push_back(one.view());
  return Views(std::move(views));
}

/// The same operand for the reference, which computes in f32.
std::vector<Operand> in_f32(std::vector<Operand> operands) {
  for (Operand& operand : operands) {
    if (operand.dtype == DType::bf16) operand.dtype = DType::f32;
  }
  return operands;
}

::testing::AssertionResult same_elements(const Operand& operand, const Placed& actual,
                                         const Placed& expected) {
  const std::vector<double> a = actual.read(), b = expected.read();
  const double scale = std::max(root_mean_square(b), operand.terms);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double size = operand.terms_at.empty() ? scale : std::max(scale, operand.terms_at[i]);
    if (close(a[i], b[i], size, operand.terms_dtype.value_or(operand.dtype))) continue;
    return ::testing::AssertionFailure()
           << fmt::format("'{}' {}: element {} is {:.9g}, the reference has {:.9g} (terms of size {:.3g})",
                          operand.name, to_string(operand.shape), i, a[i], b[i], size);
  }
  return ::testing::AssertionSuccess();
}

::testing::AssertionResult check_operand(const Operand& operand, const Placed& actual,
                                         const Placed& expected) {
  if (const std::int64_t damage = actual.first_damage(); damage >= 0) {
    return ::testing::AssertionFailure()
           << fmt::format("'{}' {}: byte {} outside its elements was written (the first element is byte {})",
                          operand.name, to_string(operand.shape), damage, kGuard);
  }
  return operand.scratch ? ::testing::AssertionSuccess() : same_elements(operand, actual, expected);
}

}  // namespace

double tolerance_of(DType dtype) {
  switch (dtype) {
    case DType::i32:
    case DType::i64:
    case DType::u8:
      return 0;
    case DType::f64:
      return 2e-5;  // sums of f32 values
    case DType::f32:
      return 2e-5;  // 2⁻²⁴ · √(a few thousand terms), some cancellation
    case DType::f16:
      return 4e-3;
    case DType::bf16:
      return 2e-2;  // 2⁻⁹ · a few roundings
  }
  return 0;
}

Placed::Placed(const Operand& operand, Device* device)
    : operand_(operand),
      device_(device),
      bytes_(2 * kGuard +
             static_cast<std::size_t>(
                 operand.shape.count() +
                 operand.shape.count() / std::max<std::int64_t>(1, row_length(operand.shape)) * operand.gap) *
                 size_of(operand.dtype)),
      memory_(allocate(device, bytes_)),
      view_(view_of(operand, static_cast<unsigned char*>(memory_.get()) + kGuard)) {
  std::vector<unsigned char> bytes(bytes_, kSentinel);
  for (std::size_t i = 0; i < operand.values.size(); ++i) {
    const auto offset = static_cast<std::size_t>(offset_of(operand, static_cast<std::int64_t>(i)));
    put(bytes.data() + kGuard + offset * size_of(operand.dtype), operand.dtype, operand.values[i]);
  }
  if (device_) {
    device_->copy_from_host(Lane::compute, memory_.get(), bytes.data(), bytes_);
    device_->synchronize();
  } else {
    std::memcpy(memory_.get(), bytes.data(), bytes_);
  }
}

std::vector<unsigned char> Placed::image() const {
  std::vector<unsigned char> bytes(bytes_);
  if (device_) {
    device_->copy_to_host(Lane::compute, bytes.data(), memory_.get(), bytes_);
    device_->synchronize();
  } else {
    std::memcpy(bytes.data(), memory_.get(), bytes_);
  }
  return bytes;
}

std::vector<double> Placed::read() const {
  const std::vector<unsigned char> bytes = image();
  std::vector<double> values(static_cast<std::size_t>(operand_.shape.count()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto offset = static_cast<std::size_t>(offset_of(operand_, static_cast<std::int64_t>(i)));
    values[i] = get(bytes.data() + kGuard + offset * size_of(operand_.dtype), operand_.dtype);
  }
  return values;
}

std::int64_t Placed::first_damage() const {
  const std::vector<unsigned char> bytes = image();
  std::vector<bool> is_element(bytes_, false);
  const std::size_t width = size_of(operand_.dtype);
  for (std::int64_t i = 0; i < operand_.shape.count(); ++i) {
    std::fill_n(is_element.begin() + static_cast<std::ptrdiff_t>(kGuard + offset_of(operand_, i) * width),
                width, true);
  }
  for (std::size_t byte = 0; byte < bytes_; ++byte) {
    if (!is_element[byte] && bytes[byte] != kSentinel) return static_cast<std::int64_t>(byte);
  }
  return -1;
}

Handle ProblemBuilder::draw(Operand operand, double scale) {
  const RandomKey key{hash_name(name_), hash_name(operand.name)};
  for (std::int64_t i = 0; i < operand.shape.count(); ++i) {
    const double value = scale * normal(key, static_cast<std::uint64_t>(i), 0);
    operand.values.push_back(operand.dtype == DType::bf16 ? widen(to_bf16(value))
                                                          : static_cast<float>(value));
  }
  return put(std::move(operand));
}

void ProblemBuilder::prepare(const std::function<void(Ops&, const Views&)>& run) {
  ReferenceOps reference;
  const std::vector<Placed> placed = place(in_f32(operands_), nullptr);
  run(reference, views_of(placed));
  for (std::size_t i = 0; i < operands_.size(); ++i) {
    operands_[i].values = placed[i].read();
    if (operands_[i].dtype != DType::bf16) continue;
    for (double& value : operands_[i].values) value = widen(to_bf16(value));
  }
}

::testing::AssertionResult equals_reference(const Problem& problem, const Subject& subject) {
  ReferenceOps reference;
  const std::vector<Placed> expected = place(in_f32(problem.operands), nullptr);
  problem.run(reference, views_of(expected));
  const std::vector<Placed> actual = place(problem.operands, subject.device);
  problem.run(subject.ops, views_of(actual));
  if (subject.device) subject.device->synchronize();

  for (std::size_t i = 0; i < actual.size(); ++i) {
    const auto result = check_operand(problem.operands[i], actual[i], expected[i]);
    if (!result) return ::testing::AssertionFailure() << problem.name << ": " << result.message();
  }
  return ::testing::AssertionSuccess();
}

}  // namespace caravan::testing
