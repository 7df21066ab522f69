#pragma once

#include "caravan/config.hpp"
#include "caravan/registry.hpp"
#include "tests/device/compare.hpp"
#include "tests/support/plugin_dir.hpp"

namespace caravan::testing {

/// The device "host" of this process, made once.
inline Device& host_device() {
  static Registry registry({test::plugin_dir()});
  static const Made<Device> device = registry.create<Device>("host", Host{}, Config::map());
  return *device;
}

inline Subject host_subject() {
  return {.ops = host_device().ops(), .device = &host_device()};
}

}  // namespace caravan::testing
