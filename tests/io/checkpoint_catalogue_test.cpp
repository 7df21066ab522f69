#include "io/checkpoint/catalogue.hpp"

#include "caravan/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/staging.hpp"
#include "tests/io/sample_checkpoint.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

void damage(const std::string& path) {
  fs::resize_file(path + "/checkpoint.h5", 10);
}

TEST(StepNames, AreEightDigitsAndNothingElse) {
  EXPECT_EQ(io::step_folder(100), "step-00000100");
  EXPECT_EQ(io::step_folder(1'234'567'890), "step-1234567890");
  EXPECT_EQ(io::step_of("step-1234567890"), 1'234'567'890);
  for (const char* name :
       {"step-100", "step-00000100.tmp-a-0123456789abcdef", "step--0000001", "x", "step-", "step-0000010x"}) {
    EXPECT_EQ(io::step_of(name), std::nullopt) << name;
  }
}

TEST(Catalogue, FindsTheNewestOfARun) {
  TemporaryFolder run;
  for (std::int64_t step : {1, 2, 10}) Sample(step).write(run.file("checkpoints"));
  const auto latest = io::find_latest(run.path());
  EXPECT_EQ(latest.path, run.file("checkpoints/step-00000010"));
  EXPECT_EQ(latest.step, 10);
  EXPECT_THAT(latest.skipped, IsEmpty());
  EXPECT_THAT(io::list_steps(run.path()), ElementsAre(1, 2, 10));
}

TEST(Catalogue, WalksBackOverDamageAndSaysWhy) {
  TemporaryFolder run;
  for (std::int64_t step : {1, 2, 3}) Sample(step).write(run.path());
  damage(run.file("step-00000003"));
  fs::remove(run.file("step-00000002/manifest.json"));
  const auto latest = io::find_latest(run.path());
  EXPECT_EQ(latest.path, run.file("step-00000001"));
  ASSERT_EQ(latest.skipped.size(), 2u);
  EXPECT_THAT(latest.skipped[0].why, HasSubstr("truncated"));
  EXPECT_THAT(latest.skipped[1].why, HasSubstr("has no manifest.json"));
}

TEST(Catalogue, AnEmptyOrMissingFolderHasNoLatest) {
  TemporaryFolder run;
  EXPECT_FALSE(io::find_latest(run.path()).path);
  EXPECT_FALSE(io::find_latest("/nowhere").path);
}

TEST(Prune, KeepsTheNewest) {
  TemporaryFolder run;
  for (std::int64_t step : {1, 2, 3, 4}) Sample(step).write(run.path());
  EXPECT_THAT(io::prune(run.path(), {.latest = 2}).removed,
              ElementsAre(run.file("step-00000001"), run.file("step-00000002")));
  EXPECT_THAT(io::list_steps(run.path()), ElementsAre(3, 4));
  EXPECT_EQ(std::distance(fs::directory_iterator(run.path()), {}), 2);
}

TEST(Prune, RemovesNothingWhenTheNewestIsDamaged) {
  TemporaryFolder run;
  for (std::int64_t step : {1, 2, 3}) Sample(step).write(run.path());
  damage(run.file("step-00000003"));
  const auto pruned = io::prune(run.path(), {.latest = 1});
  EXPECT_THAT(pruned.removed, IsEmpty());
  ASSERT_EQ(pruned.problems.size(), 1u);
  EXPECT_THAT(pruned.problems[0].why, HasSubstr("truncated"));
  EXPECT_THAT(io::list_steps(run.path()), ElementsAre(1, 2, 3));
}

TEST(Prune, NeverKeepsNone) {
  EXPECT_THAT(message_of<ConfigError>([] { io::prune("/nowhere", {.latest = 0}); }),
              HasSubstr("keep_latest is 0 (at least 1 must stay)"));
}

TEST(StaleFolders, OfDeadWritersAreRemovedAndThoseOfLivingOnesKept) {
  TemporaryFolder run;
  Sample(1).write(run.path());
  const io::StagingFolder living(run.path(), "step-00000002");
  std::string dead = living.path();
  dead.replace(dead.size() - 4, 4, "dead");
  fs::create_directory(dead);
  fs::create_directory(run.file("notes.tmp-host-0123456789abcdef"));
  EXPECT_THAT(io::remove_stale(run.path()), ElementsAre(dead));
  EXPECT_TRUE(fs::exists(living.path()));
  EXPECT_TRUE(fs::exists(run.file("notes.tmp-host-0123456789abcdef")));
  EXPECT_TRUE(Sample(1).is_in(run.file("step-00000001")));
}

TEST(StaleFolders, OfOtherHostsNeedADayOfSilence) {
  TemporaryFolder run;
  const std::string foreign = run.file("step-00000002.tmp-another-0123456789abcdef");
  fs::create_directory(foreign);
  EXPECT_THAT(io::remove_stale(run.path()), IsEmpty());
  fs::last_write_time(foreign, fs::file_time_type::clock::now() - std::chrono::hours(25));
  EXPECT_THAT(io::remove_stale(run.path()), ElementsAre(foreign));
}

}  // namespace
}  // namespace caravan::test
