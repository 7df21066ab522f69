#include "memory.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstdlib>

#include "caravan/check.hpp"

namespace caravan::host {
namespace {

constexpr std::size_t kLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::size_t round_up(std::size_t value, std::size_t unit) {
  return (value + unit - 1) / unit * unit;
}

}  // namespace

void* allocate(std::size_t bytes, std::string_view what) {
  const std::size_t unit = bytes >= kHugePage ? kHugePage : kLine;
  // std::aligned_alloc wants a multiple of the alignment; rounding must not wrap around.
  void* data =
      bytes < SIZE_MAX - unit ? std::aligned_alloc(unit, round_up(bytes == 0 ? 1 : bytes, unit)) : nullptr;
  CARAVAN_CHECK(data, DeviceError,
                fmt::format("{} needs {} bytes of host memory (there is not so much)", what, bytes));
  if (unit == kHugePage) madvise(data, round_up(bytes, unit), MADV_HUGEPAGE);
  return data;
}

void release(void* data) noexcept {
  std::free(data);
}

void Workspace::begin(std::size_t floats, std::size_t takes) {
  // In whole huge pages: the tiles of attention are walked in an order that would miss the first table of
  // small pages.
  const std::size_t needed = round_up(floats + takes * kPadding, kHugePage / sizeof(float));
  used_ = 0;
  if (needed <= capacity_) return;
  block_.reset();
  block_.reset(static_cast<float*>(allocate(needed * sizeof(float), "scratch memory of the host device")));
  capacity_ = needed;
}

float* Workspace::take(std::size_t floats) {
  const std::size_t rounded = (floats + kPadding - 1) / kPadding * kPadding;
  CARAVAN_EXPECT(used_ + rounded <= capacity_);
  float* part = block_.get() + used_;
  used_ += rounded;
  return part;
}

}  // namespace caravan::host
