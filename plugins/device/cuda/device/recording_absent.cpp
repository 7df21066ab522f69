#include "caravan/error.hpp"
#include "plugins/device/cuda/device/recording.hpp"

// In place of recording.cpp where the toolkit came without CUPTI.
namespace caravan::cuda {
namespace {

[[noreturn]] void fail() {
  throw DeviceError(
      "device 'cuda' was built without CUPTI, which records what runs (cupti.h was not found). Install the "
      "toolkit's CUPTI package and build again?");
}

}  // namespace

void start_recording() {
  fail();
}

std::vector<DeviceActivity> stop_recording() {
  fail();
}

}  // namespace caravan::cuda
