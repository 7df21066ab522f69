#include "caravan/checked.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "caravan/parameter.hpp"
#include "tests/support/message_of.hpp"

namespace caravan {
namespace {

using testing::message_of;

constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();

TEST(Checked, AProductAboveItsLimitNamesEveryKey) {
  EXPECT_EQ(checked_product({{"model.dim", 4}, {"model.heads", 8}}, 32, "elements"), 32);
  EXPECT_EQ(message_of<ConfigError>([] {
              checked_product({{"model.dim", 4}, {"model.heads", 9}}, 32, "elements", "job.yaml:4");
            }),
            "job.yaml:4: model.dim=4 x model.heads=9 (at most 32 elements)");
}

TEST(Checked, AProductThatWrapsAroundIsRefused) {
  EXPECT_EQ(
      message_of<ConfigError>([] {
        checked_product({{"a", std::int64_t{1} << 32}, {"b", std::int64_t{1} << 32}}, kLargest, "bytes");
      }),
      "a=4294967296 x b=4294967296 (at most 9223372036854775807 bytes)");
  EXPECT_EQ(message_of<ConfigError>([] {
              checked_product({{"a", -1}}, kLargest, "bytes");
            }),
            "a=-1 (a size is not negative)");
}

TEST(Checked, BytesThatWrapAroundAreRefused) {
  const std::size_t all = std::numeric_limits<std::size_t>::max();
  EXPECT_EQ(checked_sum(all - 1, 1, "weights"), all);
  EXPECT_EQ(message_of<ConfigError>([&] { checked_sum(all, 1, "weights"); }).substr(0, 8), "weights:");
  EXPECT_EQ(checked_product(all, std::size_t{1}, "weights"), all);
  EXPECT_EQ(
      message_of<ConfigError>([&] { checked_product(all / 2, std::size_t{3}, "weights"); }).substr(0, 8),
      "weights:");
}

TEST(Checked, NarrowingKeepsTheValueOrNamesTheKey) {
  EXPECT_EQ(narrow<int>({"ranks", -2147483648}), -2147483648);
  EXPECT_EQ(message_of<ConfigError>([] {
              narrow<int>({"parallel.data_replicate", 4294967297});
            }),
            "parallel.data_replicate=4294967297 (must be in [-2147483648, 2147483647])");
}

TEST(Checked, AParameterWhoseBytesCouldNotBeCountedIsNotDeclared) {
  ParameterStore store;
  const auto declare = [&](Shape shape) {
    return message_of<ConfigError>(
        [&] { store.declare(ParameterSpec::whole("huge", shape, ParameterKind::dense, {})); });
  };
  EXPECT_EQ(declare({std::int64_t{1} << 40, 1 << 20}).substr(0, 32), "parameter 'huge' would be [10995");
  EXPECT_EQ(declare({std::int64_t{1} << 40, std::int64_t{1} << 40}).substr(0, 16), "parameter 'huge'");
  EXPECT_EQ(declare({3, 4}), "");
}

TEST(Checked, AnArenaThatOnlyCountsDoesNotWrapAround) {
  Arena arena = Arena::measuring("activations");
  for (int i = 0; i < 7; ++i) arena.take(DType::f32, {std::int64_t{1} << 59});
  EXPECT_EQ(message_of<ConfigError>([&] { arena.take(DType::f32, {std::int64_t{1} << 59}); }).substr(0, 12),
            "activations:");
}

}  // namespace
}  // namespace caravan
