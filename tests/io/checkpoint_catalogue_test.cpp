#include "io/checkpoint/catalogue.hpp"

#include "caravan/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>

#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/staging.hpp"
#include "io/hf/model_path.hpp"
#include "io/hf/weight_source.hpp"
#include "tests/fuzz/sealed_manifest.hpp"
#include "tests/io/sample_checkpoint.hpp"
#include "tests/io/temporary_folder.hpp"
#include "tests/support/message_of.hpp"

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

void change_a_byte(const std::string& checkpoint, const std::string& tensor) {
  std::fstream file(checkpoint + "/checkpoint.h5", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(offset_of(checkpoint, tensor)));
  file.put('!');
}

/// Who wants the model reads no optimizer's state, however large it is.
TEST(Catalogue, OfAModelTheOptimizersStateIsNotRead) {
  TemporaryFolder run;
  for (std::int64_t step : {1, 2}) Sample(step).write(run.path());
  change_a_byte(run.file("step-00000002"), "/optimizer/m/w.weight");
  EXPECT_EQ(io::find_latest(run.path()).step, 1);
  EXPECT_EQ(io::find_latest(run.path(), io::Check::model).step, 2);
  EXPECT_EQ(io::resolve_model_path(run.path()).path, run.file("step-00000002"));
  change_a_byte(run.file("step-00000002"), "/model/w.weight");
  EXPECT_EQ(io::resolve_model_path(run.path()).path, run.file("step-00000001"));
}

/// It is verified as it is read, and a second reading would find no other to take instead.
TEST(Catalogue, TheOnlyModelOfARunIsReadOnce) {
  TemporaryFolder run;
  Sample(1).write(run.path());
  change_a_byte(run.file("step-00000001"), "/model/w.weight");

  EXPECT_EQ(io::resolve_model_path(run.path()).path, run.file("step-00000001"));
  const auto source = io::open_weight_source(run.path());
  float values[64];
  EXPECT_THAT(testing::message_of<IoError>([&] {
                source->read("w.weight", TensorView(values, DType::f32, {8, 8}));
              }),
              HasSubstr("/model/w.weight"));
}

TEST(Catalogue, WalksBackOverFoldersThatAreNotWhatTheirNameSays) {
  TemporaryFolder run;
  for (std::int64_t step : {1, 2}) Sample(step).write(run.path());
  fs::rename(run.file("step-00000001"), run.file("step-00000007"));
  fs::create_directory(run.file("step-00000008"));

  const auto latest = io::find_latest(run.path());

  EXPECT_EQ(latest.path, run.file("step-00000002"));
  ASSERT_EQ(latest.skipped.size(), 2u);
  EXPECT_EQ(latest.skipped[0].why, "it is empty");
  EXPECT_THAT(latest.skipped[1].why, HasSubstr("its manifest is that of step 1"));
}

TEST(Manifest, CountsThatNoRunReachesAreRefused) {
  TemporaryFolder run;
  Sample(1).write(run.path());
  const std::string path = run.file("step-00000001/manifest.json"), text = slurp(path);
  for (const char* key : {"step", "tokens_seen"}) {
    for (std::int64_t value : {std::int64_t{-5}, std::numeric_limits<std::int64_t>::max()}) {
      auto body = nlohmann::json::parse(text).at("manifest");
      body[key] = value;
      spill(path, fuzz::sealed_manifest(body.dump()));
      EXPECT_THAT(message_of<IoError>([&] { io::read_manifest(run.file("step-00000001")); }),
                  HasSubstr(key + std::string(" is ") + std::to_string(value) + " (no run counts below 0"));
    }
  }
}

TEST(Catalogue, AnEmptyOrMissingFolderHasNoLatest) {
  TemporaryFolder run;
  EXPECT_FALSE(io::find_latest(run.path()).path);
  EXPECT_FALSE(io::find_latest("/nowhere").path);
}

TEST(Prune, KeepsTheNewest) {
  TemporaryFolder run;
  for (std::int64_t step : {1, 2, 3, 4}) Sample(step).write(run.path());
  EXPECT_THAT(io::prune(run.path(), {.latest = 2}, 4).removed,
              ElementsAre(run.file("step-00000001"), run.file("step-00000002")));
  EXPECT_THAT(io::list_steps(run.path()), ElementsAre(3, 4));
  EXPECT_EQ(std::distance(fs::directory_iterator(run.path()), {}), 2);
}

TEST(Prune, AFolderThatHoldsAnotherStepIsNeitherCountedNorRemoved) {
  TemporaryFolder run;
  for (std::int64_t step : {1, 2, 3, 4, 5}) Sample(step).write(run.path());
  fs::rename(run.file("step-00000001"), run.file("step-99999999"));
  fs::rename(run.file("step-00000002"), run.file("step-00000001"));

  const auto pruned = io::prune(run.path(), {.latest = 2}, 5);

  EXPECT_THAT(pruned.removed, ElementsAre(run.file("step-00000003")));
  EXPECT_THAT(io::list_steps(run.path()), ElementsAre(1, 4, 5, 99999999));
  ASSERT_EQ(pruned.problems.size(), 2u);
  EXPECT_EQ(pruned.problems[0].path, run.file("step-99999999"));
  EXPECT_EQ(pruned.problems[0].why, "its manifest is that of step 1 (was the folder renamed or copied?)");
  EXPECT_EQ(pruned.problems[1].path, run.file("step-00000001"));
}

TEST(Prune, AnEmptyOrDamagedNewerFolderStopsNothing) {
  TemporaryFolder run;
  for (std::int64_t step : {1, 2, 8}) Sample(step).write(run.path());
  damage(run.file("step-00000008"));
  fs::create_directory(run.file("step-00000009"));

  const auto pruned = io::prune(run.path(), {.latest = 1}, 2);

  EXPECT_THAT(pruned.removed, ElementsAre(run.file("step-00000001")));
  ASSERT_EQ(pruned.problems.size(), 1u);
  EXPECT_EQ(pruned.problems[0].why, "it is empty");
}

TEST(Prune, WhatWasJustCommittedStaysThoughOthersAreNewer) {
  TemporaryFolder run;
  for (std::int64_t step : {1, 2, 7, 8, 9}) Sample(step).write(run.path());
  EXPECT_THAT(io::prune(run.path(), {.latest = 1}, 2).removed, ElementsAre(run.file("step-00000001")));
  EXPECT_THAT(io::list_steps(run.path()), ElementsAre(2, 7, 8, 9));
}

TEST(Commit, OverTheCheckpointOfAnotherStepKeepsIt) {
  TemporaryFolder run;
  Sample(1).write(run.path());
  fs::rename(run.file("step-00000001"), run.file("step-00000005"));
  ::testing::internal::CaptureStderr();

  Sample(5).write(run.path());

  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("step-00000005 held the checkpoint of another step (was it renamed?): it is " +
                        run.file("step-00000005.other-")));
  EXPECT_TRUE(Sample(5).is_in(run.file("step-00000005")));
  EXPECT_THAT(io::list_steps(run.path()), ElementsAre(5));
  for (const auto& entry : fs::directory_iterator(run.path())) {
    if (entry.path().filename() == "step-00000005") continue;
    EXPECT_TRUE(Sample(1).is_in(entry.path().string()));
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(run.path()), {}), 2);
}

TEST(Readers, KeepWhatIsPrunedWhileTheyRead) {
  TemporaryFolder run;
  const std::string path = Sample(1).write(run.path());
  const auto reader = io::CheckpointReader::open(path, io::Check::structure);
  io::remove_committed(run.path(), "step-00000001");

  std::vector<float> values(64);
  reader.read("/model/w.weight", TensorView(values.data(), DType::f32, {8, 8}));

  EXPECT_EQ(values, Sample(1).weight);
}

TEST(Readers, LookAgainWhenTheRunHasPrunedWhatTheyFound) {
  TemporaryFolder run;
  Sample(1).write(run.path());
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (std::int64_t step = 2; !done; ++step) {
      Sample(step).write(run.path());
      io::prune(run.path(), {.latest = 1}, step);
    }
  });
  ::testing::internal::CaptureStderr();

  std::string problem;
  for (int read = 0; read < 300 && problem.empty(); ++read) {
    problem = message_of<IoError>([&] {
      const auto source = io::open_weight_source(run.path());
      std::vector<float> values(64);
      source->read("w.weight", TensorView(values.data(), DType::f32, {8, 8}));
    });
  }

  done = true;
  writer.join();
  ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(problem, "");
}

TEST(Prune, RemovesNothingWhenTheNewestIsDamaged) {
  TemporaryFolder run;
  for (std::int64_t step : {1, 2, 3}) Sample(step).write(run.path());
  damage(run.file("step-00000003"));
  const auto pruned = io::prune(run.path(), {.latest = 1}, 3);
  EXPECT_THAT(pruned.removed, IsEmpty());
  ASSERT_EQ(pruned.problems.size(), 1u);
  EXPECT_THAT(pruned.problems[0].why, HasSubstr("truncated"));
  EXPECT_THAT(io::list_steps(run.path()), ElementsAre(1, 2, 3));
}

TEST(Prune, NeverKeepsNone) {
  EXPECT_THAT(message_of<ConfigError>([] { io::prune("/nowhere", {.latest = 0}, 1); }),
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
