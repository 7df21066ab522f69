#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include "caravan/comm.hpp"
#include "caravan/config.hpp"
#include "caravan/device.hpp"
#include "caravan/registry.hpp"

namespace caravan::test {

/// The device that tests of layouts run on: CARAVAN_TEST_DEVICE, or host.
inline std::string test_device() {
  const char* device = std::getenv("CARAVAN_TEST_DEVICE");
  return device ? device : "host";
}

/// Keys of a job on this device, with its tensors moved by its own exchanges and all numbers in fp32.
inline std::vector<std::string> keys_of_test_device() {
  if (test_device() == "host") return {"device=host"};
  return {"device=" + test_device(), "device_options={exchanges: nccl}", "train.precision=fp32"};
}

/// Where several ranks have one GPU, tells NCCL that they are on hosts of their own, which it believes: their
/// tensors then go through its network transport. Call it before anything is exchanged. DeviceError and
/// PluginError where the device cuda cannot be had.
void prepare_shared_gpu(Registry& registry, Communicator& world);

/// Of the suite of a test of layouts: why its device cannot be had here, or empty.
std::string prepare_test_device(Registry& registry, Communicator& world);

}  // namespace caravan::test
