#include "core/plugin/processor_level.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "caravan/registry.hpp"
#include "tests/support/message_of.hpp"
#include "tests/support/plugin_dir.hpp"

namespace caravan {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::message_of;

/// CARAVAN_PROCESSOR for one test.
class Allowed {
 public:
  explicit Allowed(const char* level) { ::setenv("CARAVAN_PROCESSOR", level, 1); }
  ~Allowed() { ::unsetenv("CARAVAN_PROCESSOR"); }
};

/// A plugin directory in which 1f1b stands where it is put.
class LevelFolders : public ::testing::Test {
 protected:
  LevelFolders() {
    std::string pattern = ::testing::TempDir() + "caravan-levels-XXXXXX";
    root_ = fs::canonical(::mkdtemp(pattern.data())).string();
  }
  ~LevelFolders() override { fs::remove_all(root_); }

  std::string put(const std::string& folder) {
    const std::string to = root_ + "/" + folder;
    fs::create_directories(to);
    const std::string file = fs::path(to) / "caravan-schedule-1f1b.so";
    fs::copy_file(test::plugin_dir() + "/caravan-schedule-1f1b.so", file);
    return fs::canonical(file).string();
  }
  std::string found() const { return Registry({root_}).find("schedule", "1f1b").file; }

  std::string root_;
};

/// The levels of this processor, the widest first; a test that needs two of them skips where there is one.
std::vector<std::string_view> levels() {
  ::unsetenv("CARAVAN_PROCESSOR");
  return usable_processor_levels();
}

TEST(ProcessorLevels, AreThoseOfTheCompilersOwnTest) {
#if defined(__x86_64__)
  const auto has = [](std::string_view level) {
    const std::vector<std::string_view> all = levels();
    return std::find(all.begin(), all.end(), level) != all.end();
  };
  EXPECT_EQ(has("x86-64-v4"), __builtin_cpu_supports("x86-64-v4") != 0);
  EXPECT_EQ(has("x86-64-v3"), __builtin_cpu_supports("x86-64-v3") != 0);
  EXPECT_EQ(has("x86-64-v2"), __builtin_cpu_supports("x86-64-v2") != 0);
#else
  EXPECT_TRUE(levels().empty());
#endif
}

TEST(ProcessorLevels, TheEnvironmentLimitsThem) {
  const std::vector<std::string_view> all = levels();
  if (all.size() < 2) GTEST_SKIP() << "this processor has fewer than two levels";
  const Allowed allowed(std::string(all[1]).c_str());

  EXPECT_EQ(usable_processor_levels(), std::vector(all.begin() + 1, all.end()));
}

TEST(ProcessorLevels, AWordThatIsNoneIsRefused) {
  const Allowed allowed("avx2");

  EXPECT_EQ(message_of<PluginError>([] { usable_processor_levels(); }),
            "CARAVAN_PROCESSOR=avx2 (no level of a processor). Known: x86-64-v4, x86-64-v3, x86-64-v2.");
}

TEST(ProcessorLevels, OneThatTheProcessorLacksIsRefused) {
  const std::vector<std::string_view> all = levels();
  if (!all.empty() && all.front() == kProcessorLevels[0]) GTEST_SKIP() << "this processor has every level";
  const Allowed allowed(std::string(kProcessorLevels[0]).c_str());

  EXPECT_EQ(message_of<PluginError>([] { usable_processor_levels(); }),
            "CARAVAN_PROCESSOR=x86-64-v4 (this processor lacks it). Leave it unset?");
}

TEST_F(LevelFolders, TheWidestUsableIsTakenBeforeTheFileOutside) {
  const std::vector<std::string_view> all = levels();
  if (all.size() < 2) GTEST_SKIP() << "this processor has fewer than two levels";
  put(".");
  const std::string wide = put(std::string(all[0])), narrow = put(std::string(all[1]));

  EXPECT_EQ(found(), wide);
  const Allowed allowed(std::string(all[1]).c_str());
  EXPECT_EQ(found(), narrow);
}

TEST_F(LevelFolders, TheFileOutsideServesWhereNoLevelDoes) {
  const std::vector<std::string_view> all = levels();
  if (all.size() < 2) GTEST_SKIP() << "this processor has fewer than two levels";
  const std::string outside = put(".");
  put(std::string(all[0]));
  const Allowed allowed(std::string(all[1]).c_str());

  EXPECT_EQ(found(), outside);
}

TEST_F(LevelFolders, AFileForOtherProcessorsIsNamedWhenNothingElseServes) {
  const std::vector<std::string_view> all = levels();
  if (all.size() < 2) GTEST_SKIP() << "this processor has fewer than two levels";
  const std::string wide = put(std::string(all[0]));
  const Allowed allowed(std::string(all[1]).c_str());

  EXPECT_THAT(message_of<PluginError>([&] { found(); }),
              HasSubstr("\n  not for this processor (or CARAVAN_PROCESSOR forbids it): " + wide));
}

TEST_F(LevelFolders, AFolderThatEverybodyWritesIsRefused) {
  const std::vector<std::string_view> all = levels();
  if (all.empty()) GTEST_SKIP() << "this processor has no level";
  put(std::string(all[0]));
  const std::string folder = root_ + "/" + std::string(all[0]);
  fs::permissions(folder, fs::perms::others_write, fs::perm_options::add);

  EXPECT_THAT(message_of<PluginError>([&] { found(); }), HasSubstr("can be written by everybody"));
}

}  // namespace
}  // namespace caravan
