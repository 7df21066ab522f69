#include <fmt/format.h>
#include <gmock/gmock.h>

#include <regex>

#include "tests/jobs/job_test.hpp"

// Ranks that are not started: --dry-run --ranks and submit say what ranks under mpirun would say.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using Overrides = std::vector<std::string>;

class OnPaper : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    spill(file("site.yaml"), "tasks_per_node: 2\n");
  }
  Outcome dry_run(const Overrides& overrides, int started, const Overrides& more = {}) const {
    Command command = train(job(kMiniJob), "run", started, overrides);
    command.arguments.emplace_back("--dry-run");
    command.arguments.insert(command.arguments.end(), more.begin(), more.end());
    return run(command);
  }
  Outcome submit(const Overrides& overrides) const {
    Overrides words{"submit", job(kMiniJob), "output=" + file("run"), "--site", file("site.yaml"), "--print"};
    words.insert(words.end(), overrides.begin(), overrides.end());
    return caravan(words);
  }
  /// The first line of the message, without time and rank.
  static std::string refusal(const Outcome& outcome) {
    std::smatch found;
    const std::regex line(" error (?:\\[rank [0-9]+\\] )?([^\n]*)");
    return std::regex_search(outcome.err, found, line) ? found[1].str() : "";
  }
  /// Without the lines that say how large the process is.
  static std::string plan_of(const Outcome& outcome) {
    return std::regex_replace(outcome.out, std::regex("\n  (process and libraries|peak a rank)[^\n]*"), "");
  }
};

TEST_F(OnPaper, TheDryRunIsThatOfRanksThatAreStarted) {
  const Overrides overrides{"parallel.pipeline=2", "model.layers=4", "validation.batches=2"};
  const Outcome started = dry_run(overrides, 2), paper = dry_run(overrides, 0, {"--ranks", "2"});
  ASSERT_TRUE(ended_with(started, 0));
  ASSERT_TRUE(ended_with(paper, 0));
  EXPECT_THAT(paper.out, HasSubstr("2 ranks: pp=2"));
  EXPECT_EQ(plan_of(paper), plan_of(started));

  const Outcome many = dry_run(
      {"model.layers=30", "parallel.pipeline=32", "train.global_batch_size=-1", "parallel.microbatches=64"},
      0, {"--ranks", "512"});
  ASSERT_TRUE(ended_with(many, 0));
  EXPECT_THAT(many.out, HasSubstr("512 ranks: pp=32 dp_replicate=16"));
}

TEST_F(OnPaper, WhatRanksRefuseIsRefusedBeforeTheyAreStarted) {
  for (const Overrides& overrides :
       std::vector<Overrides>{{"train.global_batch_size=3"},
                              {"parallel.data_shard=3"},
                              {"parallel.tensor=2"},
                              {"parallel.pipeline=2", "parallel.stages_per_rank=7"},
                              {"parallel.pipeline=2", "parallel.schedule_options={x: 1}"},
                              {"train.precision=bf16"},
                              {"parallel.pipeline=2", "model.layers=4", "model.vocab_size=4096",
                               "train.recompute={budget: 60000}"}}) {
    SCOPED_TRACE(overrides.back());
    const Outcome started = dry_run(overrides, 2), submitted = submit(overrides);

    EXPECT_TRUE(ended_with(started, 2));
    EXPECT_TRUE(ended_with(submitted, 2));
    EXPECT_NE(refusal(started), "");
    EXPECT_EQ(refusal(submitted), refusal(started));
  }
}

TEST_F(OnPaper, WhatMayNotGoOnFromItsCheckpointIsNotSubmitted) {
  ASSERT_TRUE(ended_with(run(train(job(kMiniJob), "run", 0, {"train.steps=2"})), 0));
  EXPECT_TRUE(ended_with(submit({}), 0));

  const Outcome other = submit({"seed=6"});
  EXPECT_TRUE(ended_with(other, 3));
  EXPECT_THAT(other.err, HasSubstr("was written by another run: seed"));
}

TEST_F(OnPaper, RanksAreOfADryRunWithoutMpirun) {
  EXPECT_THAT(caravan({"train", job(kMiniJob), "--ranks", "2"}).last_line(),
              HasSubstr("--ranks 2 without --dry-run (it plans for ranks that are not started). mpirun -n "
                        "starts ranks?"));
  const Outcome twice = dry_run({}, 2, {"--ranks", "2"});
  EXPECT_TRUE(ended_with(twice, 2));
  EXPECT_THAT(twice.err, HasSubstr("--ranks 2 on 2 ranks"));
}

}  // namespace
}  // namespace caravan::test
