#include <gmock/gmock.h>
#include <sys/mount.h>

#include "io/checkpoint/catalogue.hpp"
#include "tests/jobs/job_test.hpp"

// A disk that holds one checkpoint of the mini job (0.8 MB, 0.9 MB while it is written) and no second.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class FullDisk : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    fs::create_directory(file("disk"));
    if (::mount("tmpfs", file("disk").c_str(), "tmpfs", 0, "size=1600k") != 0) {
      GTEST_SKIP() << "mounting a small tmpfs needs root";
    }
    mounted_ = true;
  }
  void TearDown() override {
    if (mounted_) ::umount2(file("disk").c_str(), MNT_DETACH);
  }
  Outcome fill(const std::string& reaction) const {
    return run(train(job(kMiniJob), "disk/run", 2, {"checkpoint.on_failure=" + reaction, "train.steps=8"}));
  }
  void expect_only_step_2() const {
    const io::Latest latest = io::find_latest(file("disk/run"));
    EXPECT_EQ(latest.step, 2);
    EXPECT_TRUE(latest.skipped.empty());
    EXPECT_EQ(std::distance(fs::directory_iterator(file("disk/run/checkpoints")), {}), 1)
        << "nothing half written is left";
  }
  bool mounted_ = false;
};

TEST_F(FullDisk, TrainingGoesOnSaysSoAndKeepsTheOldCheckpointButCannotEndWell) {
  const Outcome outcome = fill("continue");

  ASSERT_TRUE(ended_with(outcome, 3)) << "the final state is not on the disk";
  EXPECT_THAT(outcome.last_line(), HasSubstr("checkpoint of step 8 failed: a checkpoint in "));
  for (int step : {4, 6}) {
    EXPECT_THAT(outcome.err,
                HasSubstr("warning checkpoint of step " + std::to_string(step) +
                          " failed, older ones are untouched, training goes on: a checkpoint in "));
  }
  EXPECT_THAT(outcome.err, HasSubstr("(the disk is full). Remove something?"));
  EXPECT_THAT(outcome.err, HasSubstr("step 8/8"));
  EXPECT_EQ(read_metrics(file("disk/run")).size(), 8u);
  expect_only_step_2();
}

TEST_F(FullDisk, TrainingStopsWhenTheJobSaysSo) {
  const Outcome outcome = fill("stop");

  ASSERT_TRUE(ended_with(outcome, 3));
  EXPECT_THAT(outcome.last_line(), HasSubstr("checkpoint of step 4 failed: a checkpoint in "));
  EXPECT_THAT(outcome.err, ::testing::Not(HasSubstr("step 5/8")));
  expect_only_step_2();
}

TEST_F(FullDisk, WithSpaceAgainTheRunContinues) {
  ASSERT_TRUE(ended_with(fill("stop"), 3));
  ASSERT_EQ(::mount("tmpfs", file("disk").c_str(), "tmpfs", MS_REMOUNT, "size=64m"), 0);

  const Outcome outcome = fill("stop");

  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.err, HasSubstr("resumed at step 2 from "));
  EXPECT_EQ(io::find_latest(file("disk/run")).step, 8);
  EXPECT_EQ(read_metrics(file("disk/run")).size(), 8u);
}

}  // namespace
}  // namespace caravan::test
