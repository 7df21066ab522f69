#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "caravan/config.hpp"
#include "caravan/device.hpp"
#include "caravan/error.hpp"
#include "caravan/ops.hpp"
#include "caravan/reference_device.hpp"
#include "caravan/registry.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::testing {
namespace {

class ReferenceDeviceTest : public ::testing::Test {
 protected:
  ReferenceDeviceTest() { registry.add(reference_device_component()); }

  Registry registry{{}};
  Host host;
  Config config = Config::map();
};

TEST_F(ReferenceDeviceTest, IsFoundByItsName) {
  const Made<Device> device = registry.create<Device>("reference", host, config);

  EXPECT_EQ(device->name(), "reference");
  EXPECT_EQ(device->ops().device_name(), "reference");
  EXPECT_EQ(device->memory(), Memory::host);
  EXPECT_EQ(device->compute_dtype(), DType::f32);
}

TEST_F(ReferenceDeviceTest, GivesAlignedMemoryAndCopiesInBothDirections) {
  const Made<Device> device = registry.create<Device>("reference", host, config);
  std::vector<char> text(100), back(100, 'x');
  std::iota(text.begin(), text.end(), char{0});

  void* a = device->allocate(100, "a");
  void* b = device->allocate(100, "b");
  device->copy_from_host(Lane::compute, a, text.data(), 100);
  device->copy(Lane::expert, b, a, 100);
  device->fill_zero(Lane::compute, a, 100);
  device->copy_to_host(Lane::compute, back.data(), b, 100);

  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a) % 64, 0u);
  EXPECT_EQ(back, text);
  EXPECT_EQ(static_cast<char*>(a)[99], 0);
  device->release(a);
  device->release(b);
}

TEST_F(ReferenceDeviceTest, CopiesRowsThatLieApart) {
  const Made<Device> device = registry.create<Device>("reference", host, config);
  std::vector<float> from(12), to(8, -1);
  std::iota(from.begin(), from.end(), 0.0f);
  const TensorView wide(from.data(), DType::f32, {3, 4}), narrow(to.data(), DType::f32, {4, 2});

  device->copy_rows(Lane::compute, narrow.rows(1, 4), wide.slice(1, 2, 4));

  EXPECT_EQ(to, (std::vector<float>{-1, -1, 2, 3, 6, 7, 10, 11}));
}

TEST_F(ReferenceDeviceTest, SaysWhatItCannotAllocate) {
  const Made<Device> device = registry.create<Device>("reference", host, config);
  constexpr std::size_t kTooMuch = std::size_t{1} << 62;

  EXPECT_EQ(
      message_of<DeviceError>([&] { device->allocate(kTooMuch, "stashes"); }),
      "4611686018427387904 bytes for 'stashes' on device 'reference' (the host has not so much free memory)");
}

}  // namespace
}  // namespace caravan::testing
