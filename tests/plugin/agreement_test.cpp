#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "caravan/registry.hpp"
#include "parallel/world.hpp"
#include "tests/support/message_of.hpp"
#include "tests/support/plugin_dir.hpp"

namespace caravan {
namespace {

using testing::message_of;

const std::string kDuplicates =
    std::filesystem::weakly_canonical(CARAVAN_BAD_PLUGINS "/duplicate_component").string();

TEST(Agreement, RanksWithTheSameFilesAgree) {
  const auto world = parallel::make_world_communicator();
  Registry registry({test::plugin_dir()});
  registry.find("schedule", "1f1b");

  EXPECT_NO_THROW(agree_on_plugins(registry, *world));
}

TEST(Agreement, ADifferentFileIsNamedWithItsRankOnEveryRank) {
  const auto world = parallel::make_world_communicator();
  if (world->size() < 2) GTEST_SKIP() << "needs two ranks";
  Registry registry({});
  registry.find("schedule", kDuplicates + "/caravan-duplicate-" + (world->rank() == 1 ? "2.so" : "1.so"));

  const std::string text = message_of<PluginError>([&] { agree_on_plugins(registry, *world); });

  EXPECT_THAT(
      text,
      ::testing::MatchesRegex(
          "ranks disagree on plugin duplicate: rank 0 has .*caravan-duplicate-1.so \\(SHA-256 .{12}\\), rank "
          "1 "
          "has .*caravan-duplicate-2.so \\(SHA-256 .{12}\\) \\(all must run the same code\\). Is the same "
          "installation on every node\\?"));
}

TEST(Agreement, AMissingPluginIsNamed) {
  const auto world = parallel::make_world_communicator();
  if (world->size() < 2) GTEST_SKIP() << "needs two ranks";
  Registry registry({test::plugin_dir()});
  if (world->rank() == 0) registry.find("schedule", "1f1b");

  const std::string text = message_of<PluginError>([&] { agree_on_plugins(registry, *world); });

  EXPECT_THAT(text, ::testing::StartsWith("ranks disagree on plugin schedule-1f1b: rank 0 has "));
  EXPECT_THAT(text, ::testing::HasSubstr(", rank 1 has none "));
}

}  // namespace
}  // namespace caravan
