#include <gmock/gmock.h>

#include "io/checkpoint/layout.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/jobs/run_results.hpp"
#include "tests/jobs/script.hpp"

// A run that branches off another one, and leaves that one alone.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kFour = "train.steps=4";

class Fork : public JobTest {
 protected:
  /// runs/trunk has checkpoints of its steps 2 and 4.
  void SetUp() override {
    JobTest::SetUp();
    job_ = job(kMiniJob);
    ASSERT_TRUE(ended_with(start("trunk", {kFour}), 0));
  }
  Outcome start(const std::string& name, std::vector<std::string> overrides, int ranks = 0) const {
    overrides.insert(overrides.end(),
                     {"checkpoint.every=2", "checkpoint.keep_latest=9", "train.schedule_steps=6"});
    return run(train(job_, name, ranks, overrides));
  }
  /// checkpoint.from with keys beside the run.
  std::string from(const std::string& keys = "") const {
    return "checkpoint.from={run: " + file("trunk") + keys + "}";
  }
  std::vector<std::string> digests(const std::string& name, std::int64_t step) const {
    return digests_of(file(name), step);
  }
  std::string job_;
};

TEST_F(Fork, GoesOnAsTheOtherRunWouldHave) {
  const std::vector<std::string> before = digests("trunk", 4);
  const Outcome outcome = start("branch", {"train.steps=6", "checkpoint.from=" + file("trunk")});
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.err, HasSubstr("resumed at step 4 from " + file("trunk")));
  EXPECT_EQ(read_metrics(file("branch")).front()["step"], 5);
  EXPECT_EQ(digests("trunk", 4), before);
  EXPECT_FALSE(fs::exists(file("trunk/checkpoints/") + io::step_folder(6)));
  ASSERT_TRUE(ended_with(start("trunk", {"train.steps=6"}), 0));
  EXPECT_EQ(digests("branch", 6), digests("trunk", 6)) << "optimizer, step and data go on";
}

TEST_F(Fork, OfAStepOnOtherRanksAndOfOneCheckpoint) {
  ASSERT_TRUE(ended_with(start("branch", {kFour, from(", step: 2")}, 2), 0));
  EXPECT_LT(norm_of_difference(values_of(file("branch/checkpoints/") + io::step_folder(4), "/model/"),
                               values_of(file("trunk/checkpoints/") + io::step_folder(4), "/model/")),
            1e-5);
  const std::string one = file("trunk/checkpoints/") + io::step_folder(2);
  ASSERT_TRUE(ended_with(start("other", {kFour, "checkpoint.from=" + one}), 0));
  EXPECT_EQ(digests("other", 4), digests("trunk", 4));
}

TEST_F(Fork, OfTheModelAloneBeginsAnewWithItsWeights) {
  const Outcome outcome = start("branch", {"train.steps=2", "seed=9", from(", step: 2, what: model")}, 2);
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.err, HasSubstr("weights from " + file("trunk/checkpoints/") + io::step_folder(2)));
  EXPECT_THAT(outcome.err, HasSubstr("begin anew, as checkpoint.from.what=model says"));
  EXPECT_THAT(outcome.err,
              HasSubstr("warm restart: the learning rate was 0.001 at step 2; it is 0.0005 at step 1, "
                        "0.001 at most"));
  const auto metrics = read_metrics(file("branch"));
  EXPECT_EQ(metrics.front()["step"], 1);
  const std::string weights = "checkpoint.initial_load=" + file("trunk/checkpoints/") + io::step_folder(2);
  ASSERT_TRUE(ended_with(start("loaded", {"train.steps=2", "seed=9", weights}, 2), 0));
  EXPECT_EQ(results_of(file("branch")), results_of(file("loaded")));
}

TEST_F(Fork, ItsOwnCheckpointComesFirst) {
  ASSERT_TRUE(ended_with(start("branch", {kFour, from(", step: 2")}), 0));
  const Outcome again = start("branch", {"train.steps=6", from(", step: 2")});
  ASSERT_TRUE(ended_with(again, 0));
  EXPECT_THAT(again.err, HasSubstr("resumed at step 4 from " + file("branch")));
  EXPECT_THAT(again.err, HasSubstr("warning checkpoint.from=" + file("trunk") + " is not used"));
  ASSERT_TRUE(ended_with(run({{"train", file("branch/job.yaml"), "train.steps=8"}, 0, {}, 60}), 0))
      << "the resolved job is a job";
}

TEST_F(Fork, ACheckpointIsKnownByAnySpelling) {
  const std::string one = file("trunk/checkpoints/") + io::step_folder(2);
  fs::create_directory_symlink(one, file("link"));
  int number = 0;
  for (const std::string& path : {one + "/", one + "/.", file("link")}) {
    const std::string name = "branch" + std::to_string(number++);
    ASSERT_TRUE(ended_with(start(name, {kFour, "checkpoint.from=" + path}), 0)) << path;
    EXPECT_EQ(digests(name, 4), digests("trunk", 4)) << path;
  }
}

TEST_F(Fork, TheResolvedJobNamesTheOtherRunFromAnywhere) {
  Command first{
      {"train", job_, "output=branch", "train.steps=6", "train.schedule_steps=6", "checkpoint.from=trunk"},
      0,
      {},
      60};
  first.program = script(file("here.sh"), "cd " + folder_.path());
  ASSERT_TRUE(ended_with(run(first), 0));
  EXPECT_THAT(slurp(file("branch/job.yaml")), HasSubstr("run: " + file("trunk")));
}

TEST_F(Fork, WhatARefusalProposesCanBeGiven) {
  const Outcome refused = start("branch", {"train.steps=6", from(), "optimizer.name=lion"});
  ASSERT_TRUE(ended_with(refused, 3));
  const std::string line = refused.last_line();
  const std::size_t at = line.find("checkpoint.allow_changes=");
  ASSERT_NE(at, std::string::npos) << line;
  const std::string proposed = line.substr(at, line.find(']', at) + 1 - at);
  const Outcome given = start("branch", {"train.steps=6", from(), "optimizer.name=lion", proposed});
  EXPECT_TRUE(ended_with(given, 3));
  EXPECT_THAT(given.last_line(), HasSubstr("checkpoint.exclude_from_loading=[/optimizer/*]"));
  EXPECT_TRUE(ended_with(start("branch", {"train.steps=6", from(), "optimizer.name=lion", proposed,
                                          "checkpoint.exclude_from_loading=[/optimizer/*]"}),
                         0));
}

/// Adapters are not in the other run: its weights alone can be taken, and the refusal says so.
TEST_F(Fork, WithAdaptersTheRefusalProposesTheModelAlone) {
  const std::string lora = "model.lora={rank: 2, alpha: 2, parameters: ['*.attention.w?.weight']}";
  const Outcome refused = start("branch", {"train.steps=6", from(), lora});
  EXPECT_TRUE(ended_with(refused, 3));
  EXPECT_THAT(refused.last_line(), HasSubstr("checkpoint.from.what=model, which takes its weights alone"));
  EXPECT_TRUE(ended_with(start("branch", {"train.steps=6", from(", what: model"), lora}), 0));
}

TEST_F(Fork, StepsBehindTheScheduleAreWarnedOf) {
  const Outcome outcome = start("branch", {"train.steps=9", from()});
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.err, HasSubstr("the learning rate is 0 after step 6, where train.schedule_steps ends"));
}

TEST_F(Fork, AFrozenScheduleKeepsTheLengthOfTheOtherRun) {
  const std::vector<std::string> more{"train.steps=12", "train.min_lr_factor=0.1"};
  const auto branch = [&](const std::string& name, const std::string& steps) {
    return run(train(job_, name, 0,
                     {more[0], more[1], steps, "checkpoint.every=2", "checkpoint.from=" + file("trunk")}));
  };
  const Outcome frozen = branch("frozen", "train.schedule_steps=frozen");
  ASSERT_TRUE(ended_with(frozen, 0));
  EXPECT_THAT(frozen.err,
              HasSubstr("the learning-rate schedule keeps its 6 steps, as train.schedule_steps=frozen "
                        "says (train.steps=12)"));
  EXPECT_THAT(frozen.err, Not(HasSubstr("warm restart")));
  ASSERT_TRUE(ended_with(branch("number", "train.schedule_steps=6"), 0));
  EXPECT_EQ(results_of(file("frozen")), results_of(file("number")));
  EXPECT_THAT(slurp(file("frozen/job.yaml")), HasSubstr("schedule_steps: 6\n"));
  EXPECT_EQ(digests("frozen", 12), digests("number", 12));

  // What goes on from there keeps them too, whatever its own steps are.
  ASSERT_TRUE(ended_with(
      run(train(job_, "frozen", 0, {"train.steps=14", more[1], "train.schedule_steps=frozen"})), 0));
  EXPECT_NEAR(series(read_metrics(file("frozen")), "learning_rate").back(), 1e-4, 1e-12) << "behind its end";
}

TEST_F(Fork, AFrozenScheduleOfANewRunIsItsOwn) {
  ASSERT_TRUE(ended_with(run(train(job_, "new", 0, {"train.steps=4", "train.schedule_steps=frozen"})), 0));
  EXPECT_THAT(slurp(file("new/job.yaml")), HasSubstr("schedule_steps: 4\n"));
  ASSERT_TRUE(ended_with(run(train(job_, "new", 0, {"train.steps=6", "train.schedule_steps=frozen"})), 0));
  EXPECT_THAT(slurp(file("new/job.yaml")), HasSubstr("schedule_steps: 4\n"));
  EXPECT_EQ(series(read_metrics(file("new")), "learning_rate").back(), 0);
}

TEST_F(Fork, AScheduleHasANumberOrTheWord) {
  const Outcome outcome = run(train(job_, "new", 0, {"train.schedule_steps=frozn"}));
  EXPECT_TRUE(ended_with(outcome, 2));
  EXPECT_THAT(outcome.last_line(), HasSubstr("Did you mean 'frozen'?"));
}

TEST_F(Fork, AWarmRestartIsSaidWithItsRates) {
  for (const bool is_dry : {true, false}) {
    std::vector<std::string> overrides{"train.steps=12", "checkpoint.from=" + file("trunk")};
    if (is_dry) overrides.emplace_back("--dry-run");
    const Outcome outcome = run(train(job_, "restarted", 0, overrides));
    ASSERT_TRUE(ended_with(outcome, 0));
    // 6 steps, 2 of warm-up: 7.5e-4 of 1e-3 at step 4, 5e-4 at step 5; of 12 steps 8e-4.
    EXPECT_THAT(outcome.err,
                HasSubstr("warning warm restart: the learning rate jumps from 0.00075 at step 4 to "
                          "0.0008 at step 5, where it would have been 0.0005 (its schedule has 12 "
                          "steps, which were 6: train.schedule_steps=frozen keeps them)"));
  }
  const Outcome higher = start("higher", {"train.steps=6", "train.lr=2e-3", from()});
  ASSERT_TRUE(ended_with(higher, 0));
  EXPECT_THAT(higher.err,
              HasSubstr("warm restart: the learning rate jumps from 0.00075 at step 4 to 0.001 at step 5"));
  EXPECT_THAT(higher.err, HasSubstr("see train.lr"));
  EXPECT_THAT(start("lower", {"train.steps=6", "train.lr=5e-4", from()}).err, Not(HasSubstr("warm restart")));
  EXPECT_THAT(start("same", {"train.steps=6", from()}).err, Not(HasSubstr("warm restart")));
  EXPECT_THAT(start("warming", {"train.steps=6", "train.warmup_steps=5", from(", step: 2")}).err,
              Not(HasSubstr("warm restart")))
      << "what is below its former course is none";
  const Outcome slower = run(train(job_, "slower", 0, {"train.steps=7", "checkpoint.from=" + file("trunk")}));
  EXPECT_THAT(slower.err, HasSubstr("the learning rate of step 5 0.0005 -> 0.0006"));
  EXPECT_THAT(slower.err, Not(HasSubstr("warm restart"))) << "it goes on falling from 0.00075";
}

TEST_F(Fork, WhatCannotBeIsRefusedByTheDryRunToo) {
  struct Case {
    std::vector<std::string> overrides;
    int code;
    std::string says;
  };
  const std::vector<Case> cases{
      {{"train.steps=6", from(), "model.rope_theta=10000"}, 3, "model.rope_theta 500000 -> 10000"},
      {{"train.steps=6", from(", step: 3")},
       3,
       "no checkpoint of step 3 in " + file("trunk") + " (it has 2, 4)"},
      {{"train.steps=6", "checkpoint.from=" + file("nowhere")}, 3, "there is no " + file("nowhere")},
      {{kFour, from()}, 2, "is at step 4 and train.steps=4 (nothing would be left to do)"},
      {{"train.steps=6", from(), "checkpoint.create_seed=true"}, 2, "a seed is the checkpoint of step 0"},
      {{"train.steps=6", from(), "checkpoint.initial_load=" + file("x")}, 2, "a run starts from one place"},
      {{"train.steps=6", from(", waht: model")}, 2, "Did you mean 'what'?"},
      {{"train.steps=6", from(", what: weights")}, 2, "must be one of: all, model"},
      {{"train.steps=6", from(", what: model"), "checkpoint.exclude_from_loading=[/optimizer/*]"},
       2,
       "it is for resuming"},
  };
  for (const Case& bad : cases) {
    for (const bool is_dry : {false, true}) {
      std::vector<std::string> overrides = bad.overrides;
      if (is_dry) overrides.push_back("--dry-run");
      const Outcome outcome = start("branch", overrides);
      EXPECT_TRUE(ended_with(outcome, bad.code)) << bad.says << is_dry;
      EXPECT_THAT(outcome.last_line(), HasSubstr(bad.says)) << is_dry;
    }
  }
  EXPECT_FALSE(fs::exists(file("branch/checkpoints")));
  const Outcome itself = start("trunk", {"train.steps=6", from(), "checkpoint.resume=false"});
  EXPECT_TRUE(ended_with(itself, 2));
}

TEST_F(Fork, ADamagedCheckpointIsPassedOverAndSaid) {
  const std::string newest = file("trunk/checkpoints/") + io::step_folder(4) + "/checkpoint.h5";
  fs::resize_file(newest, fs::file_size(newest) / 2);
  const Outcome outcome = start("branch", {"train.steps=6", from()});
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.err, HasSubstr("warning skipped " + file("trunk/checkpoints/") + io::step_folder(4)));
  EXPECT_THAT(outcome.err, HasSubstr("resumed at step 2 from"));
  const Outcome named = start("other", {"train.steps=6", from(", step: 4")});
  EXPECT_TRUE(ended_with(named, 3));
  EXPECT_THAT(named.last_line(), HasSubstr("no checkpoint of " + file("trunk") + " verifies"));
}

}  // namespace
}  // namespace caravan::test
