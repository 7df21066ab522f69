#include "caravan/arena.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "caravan/check.hpp"
#include "caravan/checked.hpp"

namespace caravan {
namespace {}  // namespace

Arena::Arena(std::string name) : name_(std::move(name)) {}

Arena::Arena(Device& device, std::size_t capacity, std::string name)
    : device_(&device), name_(std::move(name)), capacity_(capacity) {
  if (capacity_ > 0) base_ = device.allocate(capacity_, name_);
}

Arena Arena::measuring(std::string name) {
  return Arena(std::move(name));
}

Arena::~Arena() {
  if (base_) device_->release(base_);
}

Arena::Arena(Arena&& other) noexcept
    : device_(other.device_),
      name_(std::move(other.name_)),
      base_(std::exchange(other.base_, nullptr)),
      capacity_(other.capacity_),
      used_(other.used_),
      peak_(other.peak_) {}

TensorView Arena::take(DType dtype, const Shape& shape) {
  const std::size_t bytes = checked_product(static_cast<std::size_t>(shape.count()), size_of(dtype), name_);
  const std::size_t begin = used_;
  const std::size_t end =
      checked_sum(begin, checked_sum(bytes, kAlignment - 1, name_) / kAlignment * kAlignment, name_);
  CARAVAN_CHECK(
      !device_ || end <= capacity_, DeviceError,
      fmt::format("arena '{}' is full: {} of {} bytes used, {} more wanted (the memory plan was too small)",
                  name_, begin, capacity_, bytes));
  used_ = end;
  peak_ = std::max(peak_, used_);
  return TensorView(base_ ? static_cast<char*>(base_) + begin : nullptr, dtype, shape);
}

}  // namespace caravan
