#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/jobs/job_test.hpp"
#include "tests/jobs/run_results.hpp"

// optimizer.qk_clip as users ask for it.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Overrides = std::vector<std::string>;

class LogitClip : public JobTest {
 protected:
  Command clipping(const std::string& run, double limit, const Overrides& more = {}, int ranks = 0) const {
    Overrides overrides{fmt::format("optimizer={{name: muon, qk_clip: {}}}", limit)};
    overrides.insert(overrides.end(), more.begin(), more.end());
    return train(job(kMiniJob), run, ranks, overrides);
  }
  Outcome dry_run(const Overrides& more) const {
    Command command = clipping("dry", 0.5, more);
    command.arguments.emplace_back("--dry-run");
    return run(command);
  }
  void expect_refused(const Overrides& more, const std::string& message) const {
    const Outcome outcome = dry_run(more);
    EXPECT_NE(outcome.code, 0);
    EXPECT_THAT(outcome.err, HasSubstr(message));
  }
};

TEST_F(LogitClip, ADryRunSaysWhichLayersAreClippedAndWhatRuns) {
  const Outcome all = dry_run({}), some = dry_run({"model.qk_norm=true", "model.nope_layers=[1]"});
  ASSERT_TRUE(ended_with(all, 0));
  EXPECT_THAT(all.out, HasSubstr("attention logits above 0.5: clipped by the weights of 2 layers\n"));
  EXPECT_THAT(all.out, HasSubstr("\n  largest_logits                    2  own loops"));
  EXPECT_THAT(all.out, HasSubstr("\n  clip_heads                        4 "));
  ASSERT_TRUE(ended_with(some, 0));
  EXPECT_THAT(some.out, HasSubstr("of 1 layer; left alone: 1 layer with a norm of queries and keys"));
  EXPECT_THAT(some.out, HasSubstr("\n  largest_logits                    1  own loops"));
  const Outcome frozen =
      dry_run({"optimizer={name: muon, qk_clip: 1, groups: [{parameters: layers.0.*, frozen: true}]}"});
  EXPECT_THAT(frozen.out, HasSubstr("left alone: 1 layer with frozen wq and wk"));
  const Outcome repeated = dry_run({"train.recompute=full"});
  EXPECT_THAT(repeated.out, HasSubstr("\n  attention_forward                 3 "));
  EXPECT_THAT(repeated.out, HasSubstr("\n  largest_logits                    2 ")) << "once a micro-batch";
  const Outcome none = dry_run({"optimizer.qk_clip=null"});
  EXPECT_THAT(none.out, Not(HasSubstr("logits")));
}

TEST_F(LogitClip, WhatMakesNoSenseIsRefusedByName) {
  expect_refused({"model.qk_norm=true"}, "optimizer.qk_clip=0.5 has nothing to clip (2 layers with a norm");
  expect_refused({"model.lora={rank: 2, alpha: 4, parameters: ['*wq*']}"},
                 "optimizer.qk_clip=0.5 has nothing to clip (2 layers with frozen wq and wk");
  expect_refused({"optimizer.qk_clip=0"}, "optimizer.qk_clip=0 (must be > 0)");
  expect_refused({"optimizer.qk_clip=-1"}, "optimizer.qk_clip=-1 (must be > 0)");
  expect_refused({"optimizer={name: adamw, qk_clip: 100}"}, "qk_clip");
}

TEST_F(LogitClip, RecordsHaveTheLargestLogit) {
  ASSERT_TRUE(ended_with(run(clipping("clipped", 1e-3)), 0));
  ASSERT_TRUE(ended_with(run(train(job(kMiniJob), "plain", 0, {"optimizer={name: muon}"})), 0));
  const auto largest = series(read_metrics(file("clipped")), "max_logit");
  ASSERT_EQ(largest.size(), 6u);
  EXPECT_GT(largest[0], 1e-3);
  EXPECT_LT(largest[5], 3e-3);
  for (const auto& record : read_metrics(file("plain"))) EXPECT_FALSE(record.contains("max_logit"));
}

TEST_F(LogitClip, AResumedRunIsTheUndisturbedOne) {
  const Overrides shards{"parallel.data_shard=2", "train.schedule_steps=100"};
  const auto steps = [&](const std::string& name, int count) {
    Overrides more = shards;
    more.push_back(fmt::format("train.steps={}", count));
    return run(clipping(name, 1e-3, more, 2));
  };
  ASSERT_TRUE(ended_with(steps("whole", 6), 0));
  ASSERT_TRUE(ended_with(steps("cut", 4), 0));
  ASSERT_TRUE(ended_with(steps("cut", 6), 0));
  EXPECT_EQ(series(read_metrics(file("cut")), "max_logit"), series(read_metrics(file("whole")), "max_logit"));
  EXPECT_EQ(digests_of(file("cut"), 6), digests_of(file("whole"), 6));
}

}  // namespace
}  // namespace caravan::test
