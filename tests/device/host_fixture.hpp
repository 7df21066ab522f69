#pragma once

#include "caravan/config.hpp"
#include "caravan/registry.hpp"
#include "tests/device/compare.hpp"

namespace caravan::testing {

/// The device "host" of this process, made once.
inline Device& host_device() {
  static Registry registry({CARAVAN_PLUGIN_DIR});
  static const Made<Device> device = registry.create<Device>("host", Host{}, Config::map());
  return *device;
}

inline Subject host_subject() {
  return {.ops = host_device().ops(), .device = &host_device()};
}

}  // namespace caravan::testing
