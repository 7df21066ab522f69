#include "caravan/native_lane.hpp"

#include <gtest/gtest.h>

#include "caravan/config.hpp"
#include "caravan/reference_device.hpp"
#include "caravan/registry.hpp"
#include "tests/support/apart_device.hpp"

namespace caravan::testing {
namespace {

/// Whose lanes are numbers.
struct Numbers {
  static constexpr std::string_view kName = "numbers";
  using Handle = int*;
};

class NumberedDevice final : public ApartDevice {
 public:
  std::optional<NativeLane> native_lane(Lane lane) override {
    return NativeLane{Numbers::kName, &lanes_[static_cast<std::size_t>(lane)]};
  }

 private:
  int lanes_[kLanes] = {10, 11, 12, 13, 14};
};

TEST(NativeLane, IsTheLaneAskedForUnderItsType) {
  NumberedDevice device;
  EXPECT_EQ(**native_lane<Numbers>(device, Lane::compute), 10);
  EXPECT_EQ(**native_lane<Numbers>(device, Lane::tensor), 14);
  EXPECT_FALSE(native_lane<CudaStream>(device, Lane::compute));
}

TEST(NativeLane, IsNoneWhereWorkRunsInline) {
  Registry registry{{}};
  registry.add(reference_device_component());
  const auto device = registry.create<Device>("reference", Host{}, Config::map());
  EXPECT_FALSE(native_lane<CudaStream>(*device, Lane::compute));
  EXPECT_TRUE(device->computes());
}

}  // namespace
}  // namespace caravan::testing
