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

void Device::start_recording() {
  fail(*this);
}

std::vector<DeviceActivity> Device::stop_recording() {
  fail(*this);
}

}  // namespace caravan
