#include "caravan/registry.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "caravan/optimizer.hpp"
#include "caravan/schedule.hpp"
#include "tests/plugin/bad/component.hpp"
#include "tests/support/message_of.hpp"
#include "tests/support/plugin_dir.hpp"

namespace caravan {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::message_of;

const std::string kPlugins = fs::weakly_canonical(test::plugin_dir()).string();
const std::string kBad = fs::weakly_canonical(CARAVAN_BAD_PLUGINS).string();

/// Sets CARAVAN_PLUGIN_PATH for one test.
class PluginPath {
 public:
  explicit PluginPath(const std::string& value) { ::setenv("CARAVAN_PLUGIN_PATH", value.c_str(), 1); }
  ~PluginPath() { ::unsetenv("CARAVAN_PLUGIN_PATH"); }
};

TEST(Registry, FindsCreatesAndOpensOnlyWhatIsAskedFor) {
  Registry registry({kPlugins});

  const auto schedule = registry.create<Schedule>("1f1b", Host{}, Config());
  const Plan plan = schedule->build({.ranks = 2, .microbatches = 2, .stages_per_rank = 1});

  EXPECT_EQ(plan.steps.size(), 2u);
  ASSERT_EQ(registry.opened().size(), 1u);
  EXPECT_EQ(registry.opened()[0].file, kPlugins + "/caravan-schedule-1f1b.so");
  EXPECT_EQ(registry.opened()[0].sha256.size(), 64u);
}

TEST(Registry, FindsTwiceTheSame) {
  Registry registry({kPlugins});

  EXPECT_EQ(&registry.find("schedule", "1f1b"), &registry.find("schedule", "1f1b"));
}

TEST(Registry, TheHashIsThatOfTheFile) {
  Registry registry({kPlugins});
  registry.find("schedule", "1f1b");

  FILE* pipe = ::popen(("sha256sum " + kPlugins + "/caravan-schedule-1f1b.so").c_str(), "r");
  char expected[65] = {};
  const std::size_t got = std::fread(expected, 1, 64, pipe);
  ::pclose(pipe);

  ASSERT_EQ(got, 64u);
  EXPECT_EQ(registry.opened()[0].sha256, expected);
}

TEST(Registry, StartsWithinMilliseconds) {
  const auto begin = std::chrono::steady_clock::now();

  Registry registry({kPlugins});
  registry.find("schedule", "1f1b");
  const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - begin;

  EXPECT_LT(spent.count(), 50.0);  // measured: 1 ms; the rest is for a busy machine
}

TEST(Registry, AMissingNameListsWhatWasSearchedAndTheNearest) {
  Registry registry({kPlugins, "/nowhere/plugins"});

  EXPECT_EQ(message_of<PluginError>([&] { registry.find("schedule", "1fb1"); }),
            "no schedule '1fb1' (searched: " + kPlugins + ", /nowhere/plugins). Did you mean '1f1b'?");
  EXPECT_THAT(message_of<PluginError>([&] { registry.find("schedule", "zebra_crossing"); }),
              HasSubstr("Known: "));
  EXPECT_THAT(message_of<PluginError>([&] { registry.find("colour", "red"); }),
              HasSubstr("There is no colour at all."));
}

TEST(Registry, ThePathOfTheEnvironmentComesFirst) {
  PluginPath path(kBad + "/no_index:" + kBad + "/no_index");
  Registry registry({kPlugins});

  EXPECT_EQ(registry.find("schedule", "nothing").file, kBad + "/no_index/caravan-no_index.so");
  EXPECT_THAT(message_of<PluginError>([&] { registry.find("schedule", "1fb1"); }),
              HasSubstr("(searched: CARAVAN_PLUGIN_PATH=" + kBad + "/no_index:" + kBad + "/no_index, " +
                        kPlugins + ")"));
}

TEST(Registry, NoneMeansLinkedInOnly) {
  PluginPath path("none");
  Registry registry({kPlugins});
  registry.add(testing::kComponents[0]);

  EXPECT_EQ(registry.find("schedule", "nothing").file, "<linked in>");
  EXPECT_EQ(
      message_of<PluginError>([&] { registry.find("schedule", "1f1b"); }),
      "no schedule '1f1b' (searched: CARAVAN_PLUGIN_PATH=none: only what is linked in). Known: nothing.");
}

TEST(Registry, RelativeDirectoriesOfTheEnvironmentAreRefused) {
  PluginPath path("plugins");
  Registry registry({kPlugins});

  EXPECT_EQ(message_of<PluginError>([&] { registry.find("schedule", "1f1b"); }),
            "CARAVAN_PLUGIN_PATH has the relative directory 'plugins' (it would depend on where the job "
            "starts). Write it "
            "from '/'?");
}

TEST(Registry, ALinkedInComponentAndAFileAreADuplicate) {
  Registry registry({kBad + "/duplicate_component"});
  registry.add(testing::kComponents[0]);

  EXPECT_THAT(message_of<PluginError>([&] { registry.find("schedule", "nothing"); }),
              HasSubstr("is provided twice: by <linked in> and by " + kBad));
  EXPECT_EQ(message_of<PluginError>([&] { registry.add(testing::kComponents[0]); }),
            "schedule 'nothing' is added twice");
}

TEST(Registry, ANameWithASlashIsAFile) {
  Registry registry({});

  EXPECT_EQ(registry.find("schedule", kPlugins + "/caravan-schedule-1f1b.so").plugin, "schedule-1f1b");
  EXPECT_THAT(
      message_of<PluginError>([&] { registry.find("layer", kPlugins + "/caravan-schedule-1f1b.so"); }),
      HasSubstr("has 0 components of kind layer"));
  EXPECT_EQ(message_of<PluginError>([&] { registry.find("layer", "/no/such.so"); }),
            "no plugin file /no/such.so (No such file or directory). Is the path right?");
}

TEST(Registry, ASecondNameOfOneFileIsNoDuplicate) {
  std::string pattern = ::testing::TempDir() + "caravan-links-XXXXXX";
  const std::string links = ::mkdtemp(pattern.data());
  fs::create_symlink(kPlugins + "/caravan-schedule-1f1b.so", links + "/caravan-other.so");
  Registry registry({links, kPlugins});

  EXPECT_EQ(registry.find("schedule", "1f1b").file, kPlugins + "/caravan-schedule-1f1b.so");
  fs::remove_all(links);
}

TEST(Registry, ListsEverythingWithRefusals) {
  Registry registry({kBad + "/no_index", kBad + "/not_elf", kBad + "/abi_old"});
  std::vector<Refusal> refusals;

  const std::vector<Found> all = registry.list(&refusals);

  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].plugin, "bad");
  ASSERT_EQ(refusals.size(), 2u);
  EXPECT_EQ(refusals[0].file, kBad + "/not_elf/caravan-not_elf.so");
  EXPECT_THAT(refusals[1].reason, HasSubstr("uses plugin ABI 0"));
}

TEST(Registry, ARefusedFileIsNamedWhenTheNameIsMissing) {
  Registry registry({kBad + "/not_elf"});

  EXPECT_THAT(
      message_of<PluginError>([&] { registry.find("schedule", "x"); }),
      HasSubstr("\n  refused: cannot open plugin " + kBad + "/not_elf/caravan-not_elf.so: file too short"));
}

TEST(Registry, NamesOfAKindNeedNoOpening) {
  Registry registry({kPlugins});

  EXPECT_THAT(registry.names("schedule"), Contains("1f1b"));
  EXPECT_THAT(registry.opened(), IsEmpty());
}

TEST(Registry, ParametersAreValidatedBeforeTheConstructorRuns) {
  Registry registry({kPlugins});

  EXPECT_EQ(message_of<ConfigError>(
                [&] { registry.create<Schedule>("1f1b", Host{}, Config::parse("chunks: 2", "job.yaml")); }),
            "job.yaml:1: unknown key 'chunks' (no parameter of schedule '1f1b'). It takes none.");
}

TEST(Registry, DirectoriesComeFromTheExecutablesPlace) {
  ASSERT_EQ(Registry::plugin_directories().size(), 1u);
  EXPECT_THAT(Registry::plugin_directories()[0], ::testing::EndsWith("/caravan/plugins"));
}

}  // namespace
}  // namespace caravan
