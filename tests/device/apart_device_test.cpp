#include "tests/support/apart_device.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/device/cases.hpp"
#include "tests/device/compare.hpp"
#include "tests/support/message_of.hpp"

// The device that other tests use to find host code which touches device memory must find it.
namespace caravan::testing {
namespace {

using ::testing::HasSubstr;

TEST(ApartDevice, SolvesEverySmallProblemLikeTheReference) {
  ApartDevice device;
  for (const Problem& problem : small_problems({.compute = DType::bf16, .gap = 8}))
    EXPECT_TRUE(equals_reference(problem, {.ops = device.ops(), .device = &device}));
}

TEST(ApartDeviceDeathTest, KillsAHostThatReadsOrWritesItsMemory) {
  ApartDevice device;
  auto* memory = static_cast<volatile float*>(device.allocate(64, "test"));

  EXPECT_EXIT(static_cast<void>(memory[3]), ::testing::KilledBySignal(SIGSEGV), "");
  EXPECT_EXIT(memory[3] = 1, ::testing::KilledBySignal(SIGSEGV), "");
}

TEST(ApartDevice, RefusesHostMemoryInOperatorsAndCopies) {
  ApartDevice device;
  float x[4] = {}, y[4] = {};
  void* memory = device.allocate(64, "test");

  EXPECT_EQ(message_of<DeviceError>([&] {
              device.ops().add({TensorView(x, DType::f32, {4}), TensorView(memory, DType::f32, {4})});
            }),
            "add on device 'apart': f32 [4] is not in its memory");
  QkPrepareForward inner{};
  inner.how.cos = TensorView(x, DType::f32, {2, 2});
  EXPECT_THAT(message_of<DeviceError>([&] { device.ops().qk_prepare_forward(inner); }),
              HasSubstr("f32 [2, 2] is not in its memory"));
  EXPECT_THAT(message_of<DeviceError>([&] { device.copy(Lane::compute, y, memory, 16); }),
              HasSubstr("copying to 16 bytes that are not in the memory"));
  EXPECT_THAT(message_of<DeviceError>([&] { device.copy_to_host(Lane::compute, y, x, 16); }),
              HasSubstr("copying to the host 16 bytes that are not in the memory"));
  EXPECT_THAT(message_of<DeviceError>([&] { device.fill_zero(Lane::compute, memory, 65); }),
              HasSubstr("zeroing 65 bytes"));
}

TEST(ApartDevice, CopiesArriveWhenItIsWaitedForAndNotBefore) {
  ApartDevice device;
  void* memory = device.allocate(8, "test");
  const float sent[2] = {1, 2};
  float received[2] = {};
  device.copy_from_host(Lane::compute, memory, sent, sizeof sent);
  device.copy_to_host(Lane::compute, received, memory, sizeof received);

  EXPECT_TRUE(std::isnan(received[0]) && std::isnan(received[1]));
  EXPECT_THAT(message_of<DeviceError>(
                  [&] { device.copy_from_host(Lane::compute, memory, received, sizeof received); }),
              HasSubstr("the device was not waited for"));
  device.synchronize();
  EXPECT_EQ(received[0], 1);
  EXPECT_EQ(received[1], 2);
}

}  // namespace
}  // namespace caravan::testing
