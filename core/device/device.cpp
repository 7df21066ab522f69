#include "caravan/device.hpp"

#include <fmt/format.h>

#include "caravan/error.hpp"

namespace caravan {
namespace {

[[noreturn]] void fail(const Device& device) {
  throw DeviceError(
      fmt::format("device '{}' keeps no record of what runs on it. Use 'cuda'?", device.name()));
}

}  // namespace

void Device::copy_rows(Lane lane, const TensorView& to, const TensorView& from) {
  for (std::int64_t row = 0; row < to.extent(0); ++row) {
    const TensorView target = to.rows(row, row + 1);
    copy(lane, target.data, from.rows(row, row + 1).data, target.bytes());
  }
}

void Device::start_recording() {
  fail(*this);
}

std::vector<DeviceActivity> Device::stop_recording() {
  fail(*this);
}

}  // namespace caravan
