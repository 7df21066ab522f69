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
  Outcome dry_run(const Overrides& overrides, int started, const Overrides& more = {}) const {
    Command command = train(job(kMiniJob), "run", started, overrides);
    command.arguments.emplace_back("--dry-run");
    command.arguments.insert(command.arguments.end(), more.begin(), more.end());
    return run(command);
  }
  Outcome submit(const Overrides& overrides, int ranks = 2) const {
    spill(file("site.yaml"), fmt::format("tasks_per_node: {}\n", ranks));
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

TEST_F(OnPaper, ExpertsOfTensorRanksAreShardsToo) {
  const auto gathers = [&](const char* reshard) {
    const Outcome paper = dry_run({"parallel.tensor=2", "model.layers=8", "train.global_batch_size=8",
                                   std::string("parallel.reshard=") + reshard},
                                  0, {"--ranks", "2"});
    EXPECT_TRUE(ended_with(paper, 0));
    EXPECT_THAT(paper.out, HasSubstr("\n  sums of rows "));
    std::smatch found;
    return std::regex_search(paper.out, found, std::regex("gathers of weights +([0-9]+)"))
               ? std::stoi(found[1])
               : 0;
  };
  EXPECT_GT(gathers("always"), gathers("never"));
  EXPECT_GT(gathers("never"), 0);
}

TEST_F(OnPaper, WhatRanksRefuseIsRefusedBeforeTheyAreStarted) {
  for (const Overrides& overrides :
       std::vector<Overrides>{{"train.global_batch_size=3"},
                              {"parallel.data_shard=3"},
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

struct Mistake {
  const char* name;
  int ranks;
  Overrides overrides;
  const char* message;
};

void PrintTo(const Mistake& mistake, std::ostream* out) {
  *out << mistake.name;
}

class Shards : public OnPaper, public ::testing::WithParamInterface<Mistake> {};

TEST_P(Shards, ThatCannotBeAreRefusedAlikeByRanksOnPaperAndBySubmit) {
  const auto& [name, ranks, overrides, message] = GetParam();
  const Outcome started = run(train(job(kMiniJob), "run", ranks, overrides)),
                paper = dry_run(overrides, 0, {"--ranks", std::to_string(ranks)}),
                submitted = submit(overrides, ranks);
  for (const Outcome& outcome : {started, paper, submitted}) {
    EXPECT_TRUE(ended_with(outcome, 2));
    EXPECT_EQ(outcome.errors(), 1) << outcome.err;
    EXPECT_EQ(refusal(outcome), message);
  }
  EXPECT_FALSE(std::filesystem::exists(file("run")));
}

const Mistake kMistakes[] = {
    {"HeadsThatTensorRanksDoNotDivide",
     3,
     {"parallel.tensor=3"},
     "heads=2 with parallel.tensor=3 (each rank has the same number of heads). A divisor of 2?"},
    {"KeyHeadsThatTensorRanksDoNotDivide",
     3,
     {"parallel.tensor=3", "model.heads=12", "model.head_dim=4", "model.kv_heads=4"},
     "kv_heads=4 with parallel.tensor=3 (ranks divide the key/value heads, or divide into groups that have "
     "one each: one number must divide the other). A divisor or a multiple of 4?"},
    {"TensorRanksWithoutRows",
     4,
     {"parallel.tensor=4", "model.heads=4", "model.head_dim=4", "train.sequence_length=5"},
     "parallel.tensor=4 with 5 tokens in a micro-batch (each rank has 2 of their rows between layers, and "
     "the "
     "last would have none). parallel.tensor=3?"},
    {"ABudgetOfTensorRanks",
     2,
     {"parallel.tensor=2", "train.recompute={budget: 0.5}"},
     "train.recompute.budget=0.5 with parallel.tensor=2 (ranks that have other widths would choose "
     "otherwise, "
     "and what repeated exchanges cost is not measured). full or selective?"},
    {"TooFewForTheRanks",
     4,
     {"parallel.data_replicate=1", "parallel.data_shard=2"},
     "pipeline=1 x data_replicate=1 x data_shard=2 x context=1 x tensor=1 = 2, but the job has 4 ranks (each "
     "rank needs exactly "
     "one place). Start 2 ranks, or set one degree to -1?"},
    {"NoDivisorOfTheRanks",
     4,
     {"parallel.data_shard=3"},
     "pipeline=1 x data_replicate=-1 x data_shard=3 x context=1 x tensor=1 on 4 ranks (the degree -1 cannot "
     "be inferred: 4 is "
     "no "
     "multiple of 3). Start a multiple of 3 ranks?"},
    {"MoreThanElements",
     8,
     {"parallel.data_shard=-1", "train.global_batch_size=8", "model.dim=2", "model.heads=1",
      "model.experts=0", "model.width_multiple_of=1"},
     "parallel.data_shard of 8 (the largest group of parameters, layers.0, has 330 elements, of which each "
     "rank "
     "keeps 64: the last would have none). parallel.data_shard=6?"},
    {"MoreThanElementsOfALaterStage",
     8,
     {"parallel.data_shard=4", "parallel.pipeline=2", "train.global_batch_size=8", "model.moe_layers=[0]",
      "model.dim=2", "model.heads=1", "model.dense_width=8", "model.expert_width=32"},
     "parallel.data_shard of 4 (the largest group of parameters, layers.1, has 336 elements, of which each "
     "rank "
     "keeps 128: the last would have none). parallel.data_shard=3?"},
    {"AlwaysReshardedUnderAnOverlap",
     4,
     {"parallel.data_shard=2", "parallel.pipeline=2", "parallel.schedule=dualpipev",
      "parallel.reshard=always", "train.global_batch_size=8", "model.layers=4"},
     "parallel.reshard=always with parallel.schedule=dualpipev (it runs a forward between the layers of a "
     "backward, and both would need the rooms of gathered weights). reshard: never?"},
    {"ReshardWithoutShards",
     2,
     {"parallel.reshard=never"},
     "parallel.reshard=never with parallel.data_shard=1 (no parameter is sharded). Leave it out, or "
     "set "
     "parallel.data_shard?"},
    {"ReshardWithoutShardsOnTensorRanks",
     2,
     {"parallel.tensor=2", "parallel.reshard=always", "model.experts=0"},
     "parallel.reshard=always with parallel.data_shard=1 (no parameter is sharded). Leave it out, or "
     "set "
     "parallel.data_shard?"},
    {"AsyncTensorWithoutTensorRanks",
     2,
     {"parallel.async_tensor=true"},
     "parallel.async_tensor=true with parallel.tensor=1 (no rows are gathered between ranks). Leave it out, "
     "or set parallel.tensor?"},
    {"RingWithoutContextRanks",
     2,
     {"parallel.rotate=ring"},
     "parallel.rotate=ring with parallel.context=1 (no keys travel between ranks). Leave it out, or set "
     "parallel.context?"},
    {"NoMicrobatches",
     2,
     {"parallel.microbatches=0"},
     "parallel.microbatches=0 (a step has at least one micro-batch). -1 for what the batch comes to?"},
    {"PrefetchWithoutShards",
     2,
     {"parallel.prefetch=0", "parallel.divide_optimizer=false"},
     "parallel.prefetch=0 with parallel.data_shard=1 (no parameter is sharded). Leave it out, or set "
     "parallel.data_shard?"},
    {"PrefetchOfAPlan",
     4,
     {"parallel.data_shard=2", "parallel.pipeline=2", "parallel.prefetch=3", "train.global_batch_size=8",
      "model.layers=4"},
     "parallel.prefetch=3 with 2 stages and parallel.reshard=auto (the plan gathers each stage before its "
     "first "
     "use). Leave it out, or reshard: always?"},
    {"NoShards",
     2,
     {"parallel.data_shard=0"},
     "parallel.data_shard=0 (must be at least 1, or -1 for all ranks that are left)"},
    {"PrefetchBeyondTheRange",
     2,
     {"parallel.data_shard=2", "parallel.prefetch=4"},
     "command line: parallel.prefetch=4 (must be in [0, 3])"},
    {"ADividedOptimizerWithoutReplicas",
     2,
     {"parallel.data_shard=2", "parallel.divide_optimizer=true"},
     "parallel.divide_optimizer=true with data_replicate=1 (there are no replicas that would divide it). "
     "Leave it out?"},
    {"ADividedOptimizerOfReplicasThatReshard",
     4,
     {"parallel.data_shard=2", "parallel.data_replicate=2", "parallel.divide_optimizer=true"},
     "parallel.divide_optimizer=true with parallel.reshard=auto (weights would be gathered from 4 ranks, "
     "which are 2 replicas of 2 shards, for every use). reshard: never?"},
    {"MoreReplicasThanElements",
     8,
     {"parallel.divide_optimizer=true", "train.global_batch_size=8", "model.dim=2", "model.heads=1",
      "model.experts=0", "model.width_multiple_of=1"},
     "parallel.data_replicate x data_shard of 8 (the largest group of parameters, layers.0, has 330 "
     "elements, of which each rank keeps 64: the last would have none). parallel.divide_optimizer=false?"},
    {"UnknownDivision",
     2,
     {"parallel.divide_optimizer=maybe"},
     "command line: parallel.divide_optimizer='maybe' (must be one of: auto, true, false)"},
    {"UnknownReshard",
     2,
     {"parallel.data_shard=2", "parallel.reshard=sometimes"},
     "command line: parallel.reshard='sometimes' (must be one of: auto, always, never)"},
};

INSTANTIATE_TEST_SUITE_P(Mistakes, Shards, ::testing::ValuesIn(kMistakes),
                         [](const auto& test) { return test.param.name; });

TEST_F(OnPaper, AllRanksThatAreLeftAreShardsWhereBothDegreesAreOpen) {
  const Overrides open{"parallel.data_shard=-1", "parallel.data_replicate=-1", "parallel.reshard=always"};
  EXPECT_THAT(dry_run(open, 0, {"--ranks", "4"}).out, HasSubstr("\n  4 ranks: dp_shard=4\n"));
  EXPECT_THAT(dry_run(open, 2).out, HasSubstr("\n  2 ranks: dp_shard=2\n"));
  EXPECT_TRUE(ended_with(dry_run(open, 0), 0)) << "a job of any number of ranks, on one";
}

/// The line of a dry run that says who updates what.
std::string optimizer_line(const Outcome& outcome) {
  std::smatch found;
  const std::regex line("\n  optimizer: ([^\n]*)\n");
  return std::regex_search(outcome.out, found, line) ? found[1].str() : "";
}

TEST_F(OnPaper, ReplicasSayWhoUpdatesWhatAndWhatTheOtherWayWouldExchange) {
  const auto line = [&](const Overrides& overrides, const char* ranks = "4") {
    Overrides all = overrides;
    all.emplace_back("train.global_batch_size=8");
    return optimizer_line(dry_run(all, 0, {"--ranks", ranks}));
  };
  const std::string bytes = "[0-9.]+ [KM]iB";
  EXPECT_THAT(line({}), ::testing::MatchesRegex("divided over 4 replicas, " + bytes +
                                                " a step .each its own: " + bytes + "."));
  EXPECT_THAT(line({"parallel.divide_optimizer=false"}),
              ::testing::MatchesRegex("each of 4 replicas its own, " + bytes + " a step .divided: " + bytes +
                                      "; parallel.divide_optimizer=false."));
  EXPECT_THAT(line({"parallel.data_shard=2", "parallel.data_replicate=2"}),
              ::testing::MatchesRegex("each of 2 replicas its own, " + bytes +
                                      " a step .divided: refused; 2 ranks of a replica divide it already."));
  EXPECT_THAT(line({"parallel.tensor=2", "model.experts=0"}), HasSubstr("divided over 2 replicas"));
  EXPECT_THAT(line({"parallel.tensor=2"}), HasSubstr("2 ranks of a replica divide it already"))
      << "tensor ranks divide its experts";
  EXPECT_THAT(line({"model.dim=2", "model.heads=1", "model.experts=0", "model.width_multiple_of=1"}, "8"),
              HasSubstr("divided: refused; the last would have nothing of layers.0)"));
  EXPECT_EQ(line({}, "1"), "");
  EXPECT_EQ(line({"parallel.data_shard=4"}), "");
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
