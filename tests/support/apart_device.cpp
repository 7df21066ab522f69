#include "tests/support/apart_device.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>

#include "caravan/check.hpp"
#include "tests/support/members.hpp"

namespace caravan::testing {
namespace {

/// Bytes from the first element to behind the last.
std::size_t span_of(const TensorView& view) {
  std::int64_t last = 0;
  for (int axis = 0; axis < view.shape.rank(); ++axis) last += (view.extent(axis) - 1) * view.stride(axis);
  return view.count() == 0 ? 0 : static_cast<std::size_t>(last + 1) * size_of(view.dtype);
}

/// DeviceError when a view among the arguments, or in a structure among them, is not the device's.
template <class Member>
void check_views(const ApartMemory& memory, const char* op, const Member& member) {
  if constexpr (std::is_same_v<Member, TensorView>) {
    CARAVAN_CHECK(member.empty() || memory.owns(member.data, span_of(member)), DeviceError,
                  fmt::format("{} on device 'apart': {} {} is not in its memory", op, name_of(member.dtype),
                              to_string(member.shape)));
  } else if constexpr (std::is_aggregate_v<Member> && !std::is_same_v<Member, RandomKey>) {
    for_each_member(member, [&](const auto& inner) { check_views(memory, op, inner); });
  }
}

bool overlaps(const void* a, std::size_t a_bytes, const void* b, std::size_t b_bytes) {
  const auto *x = static_cast<const std::byte*>(a), *y = static_cast<const std::byte*>(b);
  return x < y + b_bytes && y < x + a_bytes;
}

}  // namespace

#define CARAVAN_DEFINE_OP(name, Args)          \
  void ApartOps::name(const Args& args) {      \
    check_views(memory_, #name, args);         \
    const ApartMemory::Access access(memory_); \
    ReferenceOps::name(args);                  \
  }
CARAVAN_FOR_EACH_OP(CARAVAN_DEFINE_OP)
#undef CARAVAN_DEFINE_OP

void ApartDevice::check(const void* data, std::size_t bytes, const char* what) const {
  CARAVAN_CHECK(bytes == 0 || memory_.owns(data, bytes), DeviceError,
                fmt::format("{} {} bytes that are not in the memory of device 'apart'", what, bytes));
}

void* ApartDevice::allocate(std::size_t bytes, std::string_view what) {
  void* data = memory_.allocate(bytes);
  CARAVAN_CHECK(data != nullptr, DeviceError,
                fmt::format("{} bytes for '{}' on device 'apart'", bytes, what));
  taken_ += bytes;
  return data;
}

/// Until the device is waited for, `to` holds NaN.
void ApartDevice::copy_to_host(Lane, void* to, const void* from, std::size_t bytes) {
  check(from, bytes, "copying to the host");
  if (bytes == 0) return;
  const ApartMemory::Access access(memory_);
  const auto* begin = static_cast<const std::byte*>(from);
  arrivals_.push_back({to, {begin, begin + bytes}});
  std::memset(to, 0xFF, bytes);
}

void ApartDevice::copy_from_host(Lane, void* to, const void* from, std::size_t bytes) {
  check(to, bytes, "copying from the host to");
  for (const Arrival& arrival : arrivals_) {
    CARAVAN_CHECK(!overlaps(arrival.to, arrival.bytes.size(), from, bytes), DeviceError,
                  "copying what has not arrived on the host yet (the device was not waited for)");
  }
  if (bytes == 0) return;
  const ApartMemory::Access access(memory_);
  std::memcpy(to, from, bytes);
}

void ApartDevice::copy(Lane, void* to, const void* from, std::size_t bytes) {
  check(from, bytes, "copying from");
  check(to, bytes, "copying to");
  if (bytes == 0) return;
  const ApartMemory::Access access(memory_);
  std::memmove(to, from, bytes);
}

void ApartDevice::fill_zero(Lane, void* data, std::size_t bytes) {
  check(data, bytes, "zeroing");
  if (bytes == 0) return;
  const ApartMemory::Access access(memory_);
  std::memset(data, 0, bytes);
}

ApartDevice::~ApartDevice() {
  if (!pinned_.empty()) std::abort();
}

std::string ApartDevice::pin_host(void* data, std::size_t bytes) {
  if (!pins_) return "not on this device";
  if (bytes > 0) pinned_[data] = bytes;
  return "";
}

void ApartDevice::unpin_host(void* data) noexcept {
  const auto found = pinned_.find(data);
  if (found == pinned_.end()) return;
  // Memory that is gone by now is a fault.
  static_cast<volatile std::byte*>(data)[found->second - 1] = std::byte{0};
  pinned_.erase(found);
}

void ApartDevice::synchronize() {
  for (const Arrival& arrival : arrivals_)
    std::memcpy(arrival.to, arrival.bytes.data(), arrival.bytes.size());
  arrivals_.clear();
}

}  // namespace caravan::testing
