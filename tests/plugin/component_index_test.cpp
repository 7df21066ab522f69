#include "core/plugin/component_index.hpp"
#include "tests/support/plugin_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

namespace caravan {
namespace {

const std::string kPlugin = test::plugin_dir() + "/caravan-schedule-1f1b.so";

TEST(ComponentIndex, IsReadWithoutOpeningThePlugin) {
  EXPECT_THAT(*read_component_index(kPlugin), ::testing::ElementsAre("schedule/1f1b"));
}

TEST(ComponentIndex, OtherFilesHaveNone) {
  EXPECT_FALSE(read_component_index("/etc/passwd"));
  EXPECT_FALSE(read_component_index("/does/not/exist"));
  EXPECT_FALSE(read_component_index("/tmp"));
  EXPECT_FALSE(read_component_index("/proc/self/exe"));
}

TEST(ComponentIndex, DamagedFilesAreReadWithoutHarm) {
  std::ifstream stream(kPlugin, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(stream)), {});
  const std::string path = ::testing::TempDir() + "caravan_damaged.so";
  std::mt19937 random(3);
  int readable = 0;
  for (int round = 0; round < 300; ++round) {
    std::string damaged = whole.substr(0, round % 2 ? whole.size() : random() % whole.size());
    for (int flips = 0; flips < 8 && !damaged.empty(); ++flips)
      damaged[random() % 64 % damaged.size()] = char(random());
    std::ofstream(path, std::ios::binary) << damaged;
    readable += read_component_index(path).has_value();
  }
  std::filesystem::remove(path);

  EXPECT_LT(readable, 300);
}

}  // namespace
}  // namespace caravan
