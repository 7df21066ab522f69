#include <fmt/format.h>
#include <gmock/gmock.h>

#include <regex>

#include "tests/jobs/job_test.hpp"
#include "tests/jobs/memory_table.hpp"
#include "tests/jobs/run_results.hpp"

// optimizer.groups and the optimizers as users ask for them.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using Overrides = std::vector<std::string>;

class OptimizerGroups : public JobTest {
 protected:
  Outcome dry_run(const std::string& optimizer, const Overrides& more = {}, int ranks = 0) const {
    Overrides overrides{"optimizer=" + optimizer};
    overrides.insert(overrides.end(), more.begin(), more.end());
    Command command = train(job(kMiniJob), "dry", ranks, overrides);
    command.arguments.emplace_back("--dry-run");
    return run(command);
  }
  Outcome steps(int count, const std::string& name, const std::string& optimizer, int ranks = 0,
                const Overrides& more = {}) const {
    Overrides overrides{"optimizer=" + optimizer, fmt::format("train.steps={}", count),
                        "train.schedule_steps=100"};
    overrides.insert(overrides.end(), more.begin(), more.end());
    return run(train(job(kMiniJob), name, ranks, overrides));
  }
  void expect_refused(const std::string& optimizer, const std::string& message) const {
    SCOPED_TRACE(optimizer);
    const Outcome outcome = dry_run(optimizer);
    EXPECT_NE(outcome.code, 0);
    EXPECT_THAT(outcome.err, HasSubstr(message));
  }
};

/// Calls of an operator in the table of --dry-run; 0 where it lacks it.
int calls_of(const std::string& text, const std::string& name) {
  std::smatch found;
  return std::regex_search(text, found, std::regex("\n  " + name + " +([0-9]+) ")) ? std::stoi(found[1]) : 0;
}

TEST_F(OptimizerGroups, ADryRunSaysHowManyParametersEachHas) {
  const Outcome outcome = dry_run(
      "{groups: [{parameters: '*norm.weight', weight_decay: 0}, {parameters: [tok_embeddings.weight, "
      "output.weight], lr_factor: 0.5}, {parameters: layers.0.*, frozen: true}]}");
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.out, HasSubstr("of these, in optimizer.groups"));
  EXPECT_THAT(outcome.out, HasSubstr(" 160 *norm.weight: weight decay 0\n")) << "five norms of 32";
  EXPECT_THAT(outcome.out, HasSubstr(" 4,096 tok_embeddings.weight, output.weight: learning rate x 0.5\n"));
  EXPECT_THAT(outcome.out, HasSubstr(" layers.0.*: frozen\n"));
  EXPECT_THAT(outcome.out, HasSubstr(" in none\n"));
}

TEST_F(OptimizerGroups, FrozenPartsTakeNoGradientsNoMomentsAndNoProducts) {
  const std::string frozen = "{groups: [{parameters: layers.*.attention.*, frozen: true}]}";
  for (const Overrides& layout : {Overrides{}, Overrides{"parallel.data_shard=2"}}) {
    const int ranks = layout.empty() ? 0 : 2;
    const Outcome all = dry_run("{}", layout, ranks), some = dry_run(frozen, layout, ranks);
    ASSERT_TRUE(ended_with(all, 0));
    ASSERT_TRUE(ended_with(some, 0));
    // Two layers of 4·32·32 elements of fp32, of which each rank keeps its share; the table rounds.
    const double bytes = 2 * 4 * 32 * 32 * 4.0 / (ranks == 2 ? 2 : 1);
    EXPECT_NEAR(planned_bytes(all.out, "gradients") - planned_bytes(some.out, "gradients"), bytes,
                0.02 * planned_bytes(all.out, "gradients"));
    EXPECT_NEAR(planned_bytes(all.out, "optimizer") - planned_bytes(some.out, "optimizer"), 2 * bytes,
                0.02 * planned_bytes(all.out, "optimizer"));
    EXPECT_EQ(calls_of(all.out, "linear_backward_weight") - calls_of(some.out, "linear_backward_weight"), 4)
        << "qkv and output of two layers";
    EXPECT_EQ(calls_of(all.out, "linear_backward_input"), calls_of(some.out, "linear_backward_input"));
  }
}

TEST_F(OptimizerGroups, ADryRunSaysWhatWholeMatricesMoveAndTake) {
  for (const char* layout : {"parallel.data_shard=2", "parallel.tensor=2"}) {
    const Outcome outcome = dry_run("{name: muon}", {layout}, 2);
    ASSERT_TRUE(ended_with(outcome, 0));
    EXPECT_THAT(outcome.out, HasSubstr("parts of whole matrices")) << layout;
    EXPECT_GT(planned_bytes(outcome.out, "whole matrices"), 0) << layout;
    EXPECT_GT(calls_of(outcome.out, "momentum_step"), 0);
    EXPECT_GT(calls_of(outcome.out, "weighted_sum"), 10);
  }
  const Outcome alone = dry_run("{name: muon}"), adamw = dry_run("{}");
  EXPECT_THAT(alone.out, ::testing::Not(HasSubstr("parts of whole matrices")));
  EXPECT_LT(planned_bytes(alone.out, "optimizer"), planned_bytes(adamw.out, "optimizer"))
      << "one slot of a matrix, two of the rest";
}

TEST_F(OptimizerGroups, WhatFitsNothingOrHalfIsRefusedByName) {
  expect_refused("{groups: [{parameters: layers.7.*, frozen: true}]}", "'layers.7.*' fits no parameter");
  expect_refused("{groups: [{parameters: '*.feed_forward.w2', frozen: true}]}",
                 "'*.feed_forward.w2' fits no parameter (near is layers.0.feed_forward.w2.weight");
  expect_refused("{groups: [{parameters: layers.0.attention.wq.weight, frozen: true}]}",
                 "layers.0.attention.wq.weight names 1 of the 3 parts of layers.0.attention.wqkv");
  expect_refused("{groups: [{parameters: '*', lr_factor: 2}, {parameters: '*norm*', frozen: true}]}",
                 "all that *norm* fits is in groups before it");
  expect_refused("{groups: [{parameters: '*', frozen: true}]}", "every parameter is frozen");
  expect_refused("{groups: [{parameters: '*norm*', frozen: true, lr_factor: 0.1}]}",
                 "is frozen and has a learning rate");
  expect_refused("{groups: [{parameters: '*norm*'}]}", "*norm* has no rule");
  expect_refused("{groups: [{parameters: [], frozen: true}]}", "a group without globs");
  expect_refused("{groups: [{parameter: '*norm*', frozen: true}]}", "parameters");
  expect_refused("{groups: {parameters: '*norm*', frozen: true}}", "is no list of maps");
  expect_refused("{name: sgd, nesterov: true}", "nesterov has no effect (momentum is 0)");
}

TEST_F(OptimizerGroups, FactorsAndDecaysOfAllAreThoseOfTheJob) {
  ASSERT_TRUE(ended_with(steps(6, "plain", "{weight_decay: 0.2}", 0, {"train.lr=2e-3"}), 0));
  ASSERT_TRUE(
      ended_with(steps(6, "groups", "{groups: [{parameters: '*', lr_factor: 2, weight_decay: 0.2}]}"), 0));
  EXPECT_EQ(series(read_metrics(file("groups")), "loss"), series(read_metrics(file("plain")), "loss"));
}

TEST_F(OptimizerGroups, AResumedRunIsTheUndisturbedOne) {
  for (const std::string optimizer :
       {"{groups: [{parameters: [layers.0.*, tok_embeddings.weight], frozen: true}]}", "{name: muon}",
        "{name: muon, groups: [{parameters: layers.0.*, frozen: true}]}",
        "{name: sgd, momentum: 0.9, nesterov: true}", "{name: sgd}", "{name: lion}", "{name: adam}"}) {
    for (const int ranks : {0, 2}) {
      SCOPED_TRACE(optimizer + fmt::format(" {}", ranks));
      const std::string name = fmt::format("{}-{}", std::hash<std::string>{}(optimizer), ranks);
      const Overrides layout = ranks == 2 ? Overrides{"parallel.data_shard=2"} : Overrides{};
      ASSERT_TRUE(ended_with(steps(6, "whole" + name, optimizer, ranks, layout), 0));
      ASSERT_TRUE(ended_with(steps(4, "cut" + name, optimizer, ranks, layout), 0));
      const Outcome last = steps(6, "cut" + name, optimizer, ranks, layout);
      ASSERT_TRUE(ended_with(last, 0));
      EXPECT_THAT(last.err, HasSubstr("resumed at step 4"));
      EXPECT_EQ(series(read_metrics(file("cut" + name)), "loss"),
                series(read_metrics(file("whole" + name)), "loss"));
      EXPECT_EQ(digests_of(file("cut" + name), 6), digests_of(file("whole" + name), 6));
    }
  }
}

TEST_F(OptimizerGroups, ACheckpointHoldsFrozenWeightsAndNoStateOfThem) {
  ASSERT_TRUE(ended_with(steps(2, "run", "{groups: [{parameters: layers.0.*, frozen: true}]}"), 0));
  const Outcome all = caravan({"inspect", file("run"), "--json"});
  ASSERT_TRUE(ended_with(all, 0));
  EXPECT_THAT(all.out, HasSubstr("/model/layers.0.attention.wq.weight"));
  EXPECT_THAT(all.out, HasSubstr("/optimizer/exp_avg/layers.1.attention.wq.weight"));
  EXPECT_THAT(all.out, ::testing::Not(HasSubstr("/optimizer/exp_avg/layers.0.attention.wq.weight")));
}

TEST_F(OptimizerGroups, OtherGroupsThanBeforeAreRefusedUnlessTheyAreAllowed) {
  ASSERT_TRUE(ended_with(steps(2, "run", "{groups: [{parameters: layers.0.*, frozen: true}]}"), 0));
  const std::string other = "{groups: [{parameters: layers.0.attention.*, frozen: true}]}";
  const Outcome refused = steps(4, "run", other);
  EXPECT_NE(refused.code, 0);
  EXPECT_THAT(refused.err, HasSubstr("optimizer.groups"));
  const Outcome allowed = steps(
      4, "run", other, 0,
      {"checkpoint.allow_changes=[optimizer.groups.*]", "checkpoint.exclude_from_loading=[/optimizer/*]"});
  EXPECT_TRUE(ended_with(allowed, 0));
  EXPECT_THAT(allowed.err, HasSubstr("resumed at step 2"));
}

}  // namespace
}  // namespace caravan::test
