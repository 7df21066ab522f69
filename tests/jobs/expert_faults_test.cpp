#include <fmt/format.h>
#include <gmock/gmock.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <string>
#include <tuple>
#include <vector>

#include "tests/jobs/job_test.hpp"
#include "tests/jobs/memory_table.hpp"

// Experts over ranks where something is wrong: a rank that dies while rows travel, and jobs that ask for what
// cannot be.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using Overrides = std::vector<std::string>;

class ExpertFaults : public JobTest {
 protected:
  /// A dry run on so many ranks that are not running.
  Outcome dry_run(int ranks, const Overrides& overrides) const {
    Command command = train(job(kMiniJob), "dry", 0, overrides);
    command.arguments.insert(command.arguments.end(), {"--dry-run", "--ranks", std::to_string(ranks)});
    return run(command);
  }
};

/// Its layers are small, so that ranks are in their exchanges most of the time.
TEST_F(ExpertFaults, ARankThatIsKilledEndsTheOthersAndIsNamed) {
  const std::pair<int, const char*> cases[] = {
      {0, "all_to_all"}, {1, "all_to_all"}, {2, "all_to_all"}, {0, "deepep"}, {3, "deepep"}};
  for (const auto& [killed, dispatch] : cases) {
    SCOPED_TRACE(fmt::format("rank {} under {}", killed, dispatch));
    Program program(
        train(job(kMiniJob), fmt::format("run-{}-{}", dispatch, killed), 4,
              {"parallel.data_shard=4", "parallel.expert=4", fmt::format("model.dispatch={}", dispatch),
               "train.steps=1000000", "train.log_every=1", "checkpoint.enabled=false", "metrics.jsonl=false",
               "metrics.tensorboard=false"}),
        folder_.path());
    ASSERT_TRUE(program.wait_for("step 20/", 30));
    const pid_t process = program.process_of_rank(killed);
    ASSERT_GT(process, 0);
    const auto start = std::chrono::steady_clock::now();
    ASSERT_EQ(::kill(process, SIGKILL), 0);
    const Outcome outcome = program.wait();
    // Not by the watchdog, after half an hour; a launcher on a busy machine takes ten seconds itself.
    EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 40);
    EXPECT_TRUE(program.all_gone_within(10));
    EXPECT_NE(outcome.code, 0);
    EXPECT_THAT(outcome.err, HasSubstr("process rank " + std::to_string(killed)));
  }
}

TEST_F(ExpertFaults, WhatCannotBeIsRefusedWithItsNumbers) {
  const std::tuple<int, Overrides, const char*> cases[] = {
      {4,
       {"parallel.data_shard=4", "parallel.expert=4", "model.experts=6"},
       "experts=6 with parallel.expert=4"},
      {2, {"parallel.expert=2"}, "expert=2 x expert_tensor=1 with data_shard=1"},
      {4,
       {"parallel.data_shard=2", "parallel.expert=4"},
       "and 4 does not divide 2). expert=2, or data_shard=4?"},
      {2, {"parallel.data_shard=2", "parallel.expert=2", "model.dispatch=local"}, "Another model.dispatch"},
      {2,
       {"parallel.data_shard=2", "parallel.expert=2", "model.dispatch=local"},
       "dispatch local brings rows to"},
      {4, {"parallel.data_shard=4", "parallel.expert=4", "model.experts=0"}, "with a model without experts"},
      {1, {"model.groups=2", "model.limited_groups=1", "model.top_k=3"}, "chooses among 2 of experts=4"},
      {1, {"model.dispatch=teleport"}, "no dispatch 'teleport'"},
      {1, {"model.dispatch={room: 2}"}, "dispatch is no name"},
      {1, {"model.dispatch={name: auto, room: 2}"}, "keys of dispatch auto"},
      {1, {"model.dispatch={name: all_to_all, room: 0.5}"}, "room=0.5 (must be >= 1)"},
      {1, {"model.dispatch={name: local, room: 2}"}, "unknown key 'room'"},
      {1, {"model.capacity_factor=0"}, "capacity_factor=0 (must be > 0)"},
      {1, {"model.capacity_factor=-1"}, "capacity_factor=-1 (must be > 0)"},
      {1, {"parallel.expert_tensor=2"}, "must be one of: 1, tensor"}};
  for (const auto& [ranks, overrides, message] : cases) {
    const Outcome outcome = dry_run(ranks, overrides);
    EXPECT_TRUE(ended_with(outcome, 2)) << message;
    EXPECT_THAT(outcome.err, HasSubstr(message));
  }
}

TEST_F(ExpertFaults, RowsWithoutRoomFailTheStepAndAreCounted) {
  std::vector<std::string> said;
  for (const char* dispatch : {"all_to_all", "deepep"}) {
    const Outcome outcome =
        run(train(job(kMiniJob), std::string("cramped-") + dispatch, 2,
                  {"parallel.data_shard=2", "parallel.expert=2", "checkpoint.enabled=false",
                   fmt::format("model.dispatch={{name: {}, room: 1}}", dispatch)}));
    EXPECT_TRUE(ended_with(outcome, 16)) << dispatch;
    EXPECT_THAT(outcome.err, HasSubstr("rows had no room at their experts")) << dispatch;
    said.push_back(outcome.last_line().substr(outcome.last_line().find("rows had no room") - 12));
  }
  EXPECT_EQ(said[0], said[1]);
}

/// However much: no more rows can come than there are.
TEST_F(ExpertFaults, AnyAmountOfRoomIsPlanned) {
  for (const char* room : {"1e18", "1e30"})
    EXPECT_TRUE(ended_with(dry_run(2, {"parallel.data_shard=2", "parallel.expert=2",
                                       std::string("model.dispatch={name: all_to_all, room: ") + room + "}"}),
                           0))
        << room;
}

/// Exactly as many rows as the metrics say come to the rank with most, whichever group of experts it is in.
TEST_F(ExpertFaults, TheRowsOfTheRankThatReceivesMostAreThoseThatNeedRoom) {
  const auto step_with = [&](const std::string& room) {
    const std::string name = "room-" + room;
    const Outcome outcome =
        run(train(job(kMiniJob), name, 4,
                  {"parallel.data_shard=4", "parallel.expert=2", "model.layers=1", "model.moe_step=1",
                   "model.top_k=2", "train.steps=1", "checkpoint.enabled=false",
                   "model.dispatch={name: all_to_all, room: " + room + "}"}));
    return std::pair(outcome, outcome.code == 0 ? read_metrics(file(name)) : std::vector<nlohmann::json>{});
  };
  const auto [outcome, metrics] = step_with("4");
  ASSERT_TRUE(ended_with(outcome, 0));
  const double most = metrics.front().at("expert_rows_received_most"), even = 16 * 2;
  EXPECT_EQ(metrics.front().at("expert_rows_sent"), even);
  EXPECT_EQ(most, std::floor(most));
  EXPECT_GT(most, even);
  EXPECT_TRUE(ended_with(step_with(fmt::format("{}", most / even)).first, 0));
  const Outcome cramped = step_with(fmt::format("{}", (most - 1) / even)).first;
  EXPECT_TRUE(ended_with(cramped, 16));
  EXPECT_THAT(cramped.err, HasSubstr("rows had no room at their experts when it first happened"));
}

/// Ranks that have no sample left walk over a made-up one, whose tokens go to many experts.
TEST_F(ExpertFaults, AValidationThatDoesNotDivideNeedsNoMoreRoom) {
  const auto validated = [&](const std::string& room, int batches) {
    return run(train(job(kMiniJob), "run-" + std::to_string(batches) + "-" + room, 4,
                     {"parallel.data_shard=4", "parallel.expert=4", "checkpoint.enabled=false",
                      "train.steps=2", "validation.every=2", "validation.batches=" + std::to_string(batches),
                      "model.dispatch={name: all_to_all, room: " + room + "}"}));
  };
  for (int batches : {1, 4, 5}) EXPECT_TRUE(ended_with(validated("3", batches), 0)) << batches;
}

TEST_F(ExpertFaults, RowsWithoutRoomInAValidationAreNamed) {
  const Outcome outcome =
      run(train(job(kMiniJob), "run", 2,
                {"parallel.data_shard=2", "parallel.expert=2", "checkpoint.enabled=false", "train.steps=1",
                 "train.sequence_length=64", "validation.every=1", "validation.batches=2000",
                 "model.dispatch={name: all_to_all, room: 1.4}"}));
  EXPECT_TRUE(ended_with(outcome, 17));
  EXPECT_THAT(outcome.err, HasSubstr("validation: "));
  EXPECT_THAT(outcome.err, HasSubstr("rows had no room at their experts"));
}

TEST_F(ExpertFaults, ARunGoesOnWithAnotherDispatcherAndOtherKeysOfIt) {
  const Overrides ranks{"parallel.data_shard=2", "parallel.expert=2", "train.schedule_steps=6"};
  const auto go_on = [&](const std::string& steps, const std::string& dispatch) {
    Overrides overrides = ranks;
    overrides.insert(overrides.end(), {"train.steps=" + steps, "model.dispatch=" + dispatch});
    return run(train(job(kMiniJob), "run", 2, overrides));
  };
  EXPECT_TRUE(ended_with(go_on("1", "{name: all_to_all, room: 2}"), 0));
  EXPECT_TRUE(ended_with(go_on("2", "{name: all_to_all, room: 4}"), 0));
  EXPECT_TRUE(ended_with(go_on("3", "auto"), 0));
  EXPECT_TRUE(ended_with(go_on("4", "{name: all_to_all, room: null}"), 0));
}

TEST_F(ExpertFaults, ABenchmarkSaysWhereNothingTravelled) {
  const auto bench = [&](const std::string& dispatch) {
    return run({{"bench", "dispatch", "--device", "host", "--tokens", "64", "--width", "32", "--repeats", "2",
                 "--dispatch", dispatch},
                2,
                {},
                60});
  };
  const Outcome all = bench("all_to_all"), some = bench("{name: all_to_all, room: 1.2}");
  ASSERT_TRUE(ended_with(all, 0));
  ASSERT_TRUE(ended_with(some, 0));
  EXPECT_THAT(all.out, ::testing::Not(HasSubstr("nothing travelled")));
  EXPECT_THAT(some.out, HasSubstr("nothing travelled: "));
  const Outcome local = bench("local");
  EXPECT_TRUE(ended_with(local, 2));
  EXPECT_THAT(local.err, HasSubstr("dispatch local on 2 ranks"));
}

TEST_F(ExpertFaults, DroppedRowsAreToldAndValidationDropsToo) {
  const Overrides validated{"validation.every=3", "validation.batches=2", "checkpoint.enabled=false",
                            "train.lr=1e-9"};
  Overrides dropping = validated;
  dropping.insert(dropping.end(),
                  {"model.capacity_factor=0.5", "parallel.data_shard=2", "parallel.expert=2"});
  const Outcome all = run(train(job(kMiniJob), "all", 1, validated)),
                some = run(train(job(kMiniJob), "some", 2, dropping));
  ASSERT_TRUE(ended_with(all, 0));
  ASSERT_TRUE(ended_with(some, 0));
  EXPECT_THAT(some.err, HasSubstr("  dropped "));
  const auto without = read_metrics(file("all")), with = read_metrics(file("some"));
  EXPECT_FALSE(without.front().contains("dropped_rows"));
  EXPECT_FALSE(without.front().contains("expert_rows_sent"));
  const double rows = 4 * 16;  // one layer with experts, one choice a token
  EXPECT_GT(with.front().at("dropped_rows"), 0);
  EXPECT_DOUBLE_EQ(with.front().at("dropped_share"), with.front().at("dropped_rows").get<double>() / rows);
  EXPECT_EQ(with.front().at("expert_rows_sent"), rows / 2);
  EXPECT_GE(with.front().at("expert_rank_imbalance"), 1);
  EXPECT_GT(
      std::abs(with[2].at("validation_loss").get<double>() - without[2].at("validation_loss").get<double>()),
      1e-6);
}

/// Two runs whose weights are alike, of which one's experts take a single choice of each sequence.
TEST_F(ExpertFaults, DecodingDropsNothingAndSaysSo) {
  const Overrides still{"train.steps=1", "train.lr=1e-12", "model.init_std=0.5", "model.shared_experts=0",
                        "model.moe_step=1"};
  Overrides tight = still;
  tight.push_back("model.capacity_factor=0.01");
  ASSERT_TRUE(ended_with(run(train(job(kMiniJob), "all", 1, still)), 0));
  const Outcome dropping = run(train(job(kMiniJob), "some", 1, tight));
  ASSERT_TRUE(ended_with(dropping, 0));
  EXPECT_GT(read_metrics(file("some")).front().at("dropped_share"), 0.5);
  const auto decoded = [&](const std::string& run_folder) {
    const Outcome outcome =
        run({{"generate", "--model", file(run_folder), "--prompt-ids", "1 2 3 4 5 6 7 8 9 10 11 12 13 14",
              "--greedy", "--max-new-tokens", "12", "--json"},
             0,
             {},
             60});
    EXPECT_TRUE(ended_with(outcome, 0));
    return outcome;
  };
  const Outcome all = decoded("all"), some = decoded("some");
  EXPECT_EQ(nlohmann::json::parse(some.out).at("ids"), nlohmann::json::parse(all.out).at("ids"));
  EXPECT_THAT(some.err,
              HasSubstr("experts take every token here: model.capacity_factor is for whole sequences"));
  EXPECT_THAT(all.err, ::testing::Not(HasSubstr("capacity_factor")));
}

TEST_F(ExpertFaults, ADryRunCountsTheMemoryThatRanksHaveInCommon) {
  const auto windows = [&](const std::string& dispatch) {
    const Outcome outcome = dry_run(
        4, {"parallel.data_shard=4", "parallel.expert=2", "model.experts=8", "model.dispatch=" + dispatch});
    EXPECT_TRUE(ended_with(outcome, 0)) << dispatch;
    return planned_bytes(outcome.out, "windows between ranks");
  };
  EXPECT_TRUE(std::isnan(windows("all_to_all")));
  EXPECT_GT(windows("deepep"), 0);
  EXPECT_GT(windows("deepep"), windows("{name: deepep, room: 1}"));
}

TEST_F(ExpertFaults, ADryRunSaysWhoBringsRowsAndHowMany) {
  const Outcome outcome = dry_run(4, {"parallel.data_shard=4", "parallel.expert=2", "model.experts=8"});
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.out, HasSubstr("experts: 4 of 8 on each of 2 ranks; dispatch all_to_all\n"));
  EXPECT_THAT(outcome.out, HasSubstr("rows to experts and back"));
  EXPECT_THAT(outcome.out, HasSubstr("# exchanges of a step, sent by rank 0, over MPI\n"));
  const Outcome written =
      dry_run(4, {"parallel.data_shard=4", "parallel.expert=2", "model.experts=8", "model.dispatch=deepep"});
  EXPECT_THAT(written.out, HasSubstr("sent by rank 0, over MPI; rows of experts through memory in common\n"));
}

}  // namespace
}  // namespace caravan::test
