#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "jobs/plan/exchanges.hpp"
#include "jobs/train/training_steps.hpp"
#include "parallel/world.hpp"
#include "tests/jobs/tiny_job.hpp"
#include "tests/support/plugin_dir.hpp"

// How often steps on shards gather each parameter group and sum its gradients: what the rule of rooms says,
// what a dry run says, and never more than two gathers and a sum for each micro-batch. Runs on 2 and 4 ranks.
namespace caravan::jobs {
namespace {

using ::testing::HasSubstr;

constexpr int kLayers = 5;  ///< blocks; every one has experts

struct Case {
  std::string schedule = "1f1b";
  int microbatches = 1, pipeline = 1, shards = 2;
  std::string recompute = "none";
  std::vector<std::string> keys = {};  ///< of the section parallel
  int stages_per_rank = 1;
  int layers = kLayers;

  std::string name() const {
    return fmt::format("{}, {} micro-batches, pipeline {}, shards {}, recompute {}, {}", schedule,
                       microbatches, pipeline, shards, recompute, fmt::join(keys, " "));
  }
};

/// As many tokens as words, so that the gradient of the table is summed as those of other groups are.
Job job_of(const Case& test, int ranks) {
  Config tree = tiny_job(test, test.microbatches * (ranks / test.pipeline));
  tree.override_with("train.sequence_length=32");
  return resolve_job(std::move(tree));
}

/// By the name of the group.
using Traffic = std::map<std::string, GroupTraffic>;

Traffic difference(const Traffic& now, const Traffic& before) {
  Traffic step = now;
  for (auto& [name, traffic] : step) {
    if (const auto found = before.find(name); found != before.end()) {
      traffic.gathers -= found->second.gathers;
      traffic.reductions -= found->second.reductions;
    }
  }
  return step;
}

std::string text_of(const Traffic& traffic) {
  std::string text;
  for (const auto& [name, each] : traffic)
    text += fmt::format("{}: {} gathers, {} sums\n", name, each.gathers, each.reductions);
  return text;
}

/// Whether groups take turns with those of other layers: neither the table's nor what the last layer has.
bool is_inner(const std::string& name) {
  return name.starts_with("layers.");
}
int block_of(const std::string& name) {
  return std::atoi(name.c_str() + std::string("layers.").size());
}

class Traffics : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { setenv("CARAVAN_PLUGIN_PATH", test::plugin_dir().c_str(), 1); }

  int ranks() const { return world_->size(); }

  /// Of every step of a run, which are alike, and like the dry run's. Empty where they are not.
  Traffic measured(const Case& test) {
    SCOPED_TRACE(test.name());
    TrainSetup setup(job_of(test, ranks()), *world_);
    const Traffic planned = on_paper(setup);
    const auto data = setup.open_data({});
    TrainingSteps steps(setup, *data);
    setup.model().parameters().initialise(5);
    Traffic before;
    for (std::int64_t number = 1; number <= 3; ++number) {
      steps.post(steps.read((number - 1) * setup.share().global_batch), number);
      steps.step().result();
      const Traffic now = counted(setup);
      const Traffic step = difference(now, before);
      EXPECT_EQ(text_of(step), text_of(planned)) << "step " << number << " and on paper";
      before = now;
    }
    return planned;
  }

  std::unique_ptr<Communicator> world_ = parallel::make_world_communicator();

 private:
  static Traffic on_paper(TrainSetup& setup) {
    Traffic planned;
    for (const auto& [group, traffic] : planned_traffic(setup)) planned[group->name] = traffic;
    return planned;
  }
  static Traffic counted(TrainSetup& setup) {
    Traffic now;
    for (const GroupExchange& exchange : setup.model().sharded()->exchanges())
      now[exchange.group().name] = exchange.traffic();
    return now;
  }
};

/// With forward and backward of each micro-batch in turn and groups that take turns in `rooms` rooms. A walk
/// ends with the last groups that it used in their rooms, one a room, and the next walk, which goes the other
/// way, begins with these: they are not gathered again. So a group is gathered for the first forward; at
/// each turn from forward to backward unless it is one of the last; at each turn from backward to forward
/// unless it is one of the first.
std::int64_t gathers_in_turns(int block, int rooms, int microbatches) {
  return 1 + (block < kLayers - rooms ? microbatches : 0) + (block >= rooms ? microbatches - 1 : 0);
}

TEST_F(Traffics, OfOneStageAreWhatItsRoomsDoNotKeep) {
  for (int prefetch : {0, 1, 3}) {
    for (int microbatches : {1, 2, 3}) {
      for (const char* recompute :
           {"none", "full"}) {  // a layer repeats its forward right before its backward
        const Case test{"1f1b", microbatches, 1, ranks(), recompute, {fmt::format("prefetch={}", prefetch)}};
        const Traffic traffic = measured(test);
        EXPECT_EQ(traffic.size(), 2u * kLayers + 2) << "blocks, their experts, the table, the head";
        for (const auto& [name, each] : traffic) {
          SCOPED_TRACE(test.name() + ", " + name);
          // The table and the head have rooms of their own: whole from their first use to the update.
          EXPECT_EQ(each.gathers,
                    is_inner(name) ? gathers_in_turns(block_of(name), prefetch + 1, microbatches) : 1);
          EXPECT_EQ(each.reductions, is_inner(name) ? microbatches : 1);
          EXPECT_LE(each.gathers, 2 * microbatches) << "the bar";
        }
      }
    }
  }
}

TEST_F(Traffics, OfTheLastGroupAreOneGatherAStepWithOneMicrobatch) {
  const Traffic traffic = measured({.microbatches = 1, .shards = ranks()});
  EXPECT_EQ(traffic.at(fmt::format("layers.{}", kLayers - 1)).gathers, 1);
  EXPECT_EQ(traffic.at(fmt::format("layers.{}.experts", kLayers - 1)).gathers, 1);
  EXPECT_EQ(traffic.at("output").gathers, 1);
  EXPECT_EQ(traffic.at("layers.0").gathers, 2);
}

TEST_F(Traffics, OfGroupsThatAreNeverResharedAreOneGatherAStep) {
  for (int microbatches : {1, 3}) {
    for (const auto& [name, each] :
         measured({.microbatches = microbatches, .shards = ranks(), .keys = {"reshard=never"}})) {
      EXPECT_EQ(each.gathers, 1) << name;
      EXPECT_EQ(each.reductions, is_inner(name) ? microbatches : 1) << name;
    }
  }
}

/// Weights stay whole from their first use to the update, whatever the number of micro-batches, and what they
/// add to the gradients is summed once.
TEST_F(Traffics, OfReplicasThatDivideTheOptimizerAreOneGatherAndOneSumAStep) {
  for (const char* schedule : {"1f1b", "gpipe", "zb_h1"}) {
    for (int microbatches : {1, 3}) {
      for (const char* recompute : {"none", "full"}) {
        const Case test{schedule, microbatches, 1, 1, recompute, {"divide_optimizer=true"}};
        const Traffic traffic = measured(test);
        EXPECT_EQ(traffic.size(), 2u * kLayers + 2) << test.name();
        for (const auto& [name, each] : traffic) {
          EXPECT_EQ(each.gathers, 1) << test.name() << ", " << name;
          EXPECT_EQ(each.reductions, 1) << test.name() << ", " << name;
        }
      }
    }
  }
}

/// In fp32 both ways move as much: a sum over ranks is a sum into stretches and a gather.
TEST_F(Traffics, OfReplicasAreAsManyBytesAsASumOfAllGradients) {
  for (int microbatches : {1, 3}) {
    TrainSetup divided(
        job_of({.microbatches = microbatches, .shards = 1, .keys = {"divide_optimizer=true"}}, ranks()),
        *world_),
        whole(
            job_of({.microbatches = microbatches, .shards = 1, .keys = {"divide_optimizer=false"}}, ranks()),
            *world_);
    const StepExchanges stretches = step_exchanges(divided), wholes = step_exchanges(whole);
    EXPECT_EQ(wholes.gathers.times + wholes.reductions.times, 0);
    EXPECT_EQ(stretches.replicas.times, 0);
    EXPECT_NEAR((stretches.gathers.bytes + stretches.reductions.bytes) / wholes.replicas.bytes, 1, 0.1)
        << "stretches are rounded up";
    EXPECT_THAT(describe(divided), HasSubstr(fmt::format("optimizer: divided over {} replicas, ", ranks())));
    EXPECT_THAT(describe(whole), HasSubstr(fmt::format("optimizer: each of {} replicas its own, ", ranks())));
  }
}

/// As those of as many shards that keep their weights.
TEST_F(Traffics, OfReplicasOfShardsThatDivideTheOptimizerAreThoseOfMoreShards) {
  if (ranks() != 4) GTEST_SKIP() << "needs 4 ranks: 2 shards x 2 replicas, beside 4 shards";
  const Traffic replicated =
      measured({.shards = 2, .keys = {"data_replicate=2", "divide_optimizer=true", "reshard=never"}});
  EXPECT_EQ(text_of(replicated), text_of(measured({.shards = 4, .keys = {"reshard=never"}})));
}

/// Every walk then goes forward, so the rooms never hold what comes first: a whole backward follows.
TEST_F(Traffics, OfAllForwardsBeforeAllBackwardsAreAGatherAWalk) {
  constexpr int kMicrobatches = 3, kRooms = 2;
  for (const auto& [name, each] : measured({"gpipe", kMicrobatches, 1, ranks()})) {
    if (!is_inner(name)) continue;
    // Each walk gathers it, but the first backward, which begins where the last forward ended.
    const bool is_kept = block_of(name) >= kLayers - kRooms;
    EXPECT_EQ(each.gathers, 2 * kMicrobatches - (is_kept ? 1 : 0)) << name;
    EXPECT_EQ(each.reductions, kMicrobatches) << name;
  }
}

/// The only stage is the last one, whose forward waits for its repetition: two walks, as without.
TEST_F(Traffics, OfAStageThatRepeatsItsForwardAsAWholeAreThoseOfItsWalks) {
  for (const auto& [name, each] : measured({.microbatches = 2, .shards = ranks(), .recompute = "stage"})) {
    EXPECT_EQ(each.gathers, is_inner(name) ? gathers_in_turns(block_of(name), 2, 2) : 1) << name;
    EXPECT_LE(each.gathers, 3 * 2) << "the bar";
    EXPECT_EQ(each.reductions, is_inner(name) ? 2 : 1) << name;
  }
}

/// A block of a group of three is used once more than a backward does: for the repetition of its group.
TEST_F(Traffics, OfLayersThatRepeatInGroupsAreAtMostThreeGathersAMicrobatch) {
  const Traffic traffic = measured({.microbatches = 1, .shards = ranks(), .recompute = "{every: 3}"});
  for (const auto& [name, each] : traffic) EXPECT_LE(each.gathers, 3) << name;
  EXPECT_EQ(traffic.at("layers.0").gathers, 3) << "forward, repetition, and backward after the two behind it";
}

/// I gathers as B does. W needs no weights, and the sum comes after it.
TEST_F(Traffics, OfBackwardsInTwoPartsAreThoseOfOne) {
  for (int microbatches : {1, 2}) {
    const Traffic whole = measured({"1f1b", microbatches, 1, ranks()});
    const Traffic parts = measured({"zb_h1", microbatches, 1, ranks()});
    for (const auto& [name, each] : parts) {
      EXPECT_LE(each.gathers, 2 * microbatches) << name;
      EXPECT_EQ(each.reductions, whole.at(name).reductions) << name;
    }
  }
}

/// It travels while the other groups are updated.
TEST_F(Traffics, OfTheFirstGroupBeginBeforeTheStepIsOver) {
  TrainSetup setup(job_of({.shards = ranks()}, ranks()), *world_);
  const auto data = setup.open_data({});
  TrainingSteps steps(setup, *data);
  setup.model().parameters().initialise(5);
  for (std::int64_t number = 1; number <= 2; ++number) {
    steps.post(steps.read((number - 1) * setup.share().global_batch), number);
    for (const GroupExchange& exchange : setup.model().sharded()->exchanges())
      EXPECT_EQ(exchange.is_gathered_early(), exchange.group().name == "embedding") << exchange.group().name;
    steps.step().result();
  }
}

TEST_F(Traffics, OfReplicatedShardsAreThoseOfShards) {
  if (ranks() != 4) GTEST_SKIP() << "needs 4 ranks: 2 shards x 2 replicas, beside 4 shards";
  const Traffic replicated =
      measured({.microbatches = 2, .shards = 2, .recompute = "none", .keys = {"data_replicate=2"}});
  const Traffic alone = measured({.microbatches = 2, .shards = 4});
  EXPECT_EQ(text_of(replicated), text_of(alone));
}

struct Family {
  const char* schedule;
  int stages_per_rank;
};

/// A stage's weights are whole from its first action to the update, its gradients until its last W.
TEST_F(Traffics, UnderAPipelineAreOneGatherAndOneSumAStep) {
  if (ranks() != 4) GTEST_SKIP() << "needs 4 ranks: 2 stages x 2 shards";
  for (const Family& family : {Family{"gpipe", 1},
                               {"1f1b", 1},
                               {"zb_h1", 1},
                               {"interleaved_1f1b", 2},
                               {"zbv", 2},
                               {"dualpipev", 2}}) {
    for (const auto& [shards, recompute] :
         {std::pair(2, "none"), {2, "stage"}, {1, "none"}}) {  // the last: replicas that divide the optimizer
      Case test{family.schedule, 4, 2, shards, recompute, {}, family.stages_per_rank};
      if (shards == 1) test.keys = {"divide_optimizer=true"};
      const Traffic traffic = measured(test);
      EXPECT_GE(traffic.size(), 3u);
      for (const auto& [name, each] : traffic) {
        EXPECT_EQ(each.gathers, 1) << test.name() << ", " << name;
        EXPECT_EQ(each.reductions, 1) << test.name() << ", " << name;
      }
    }
  }
}

/// Walks of a micro-batch that use weights: F and I, with R besides, and with W where layers repeat for it.
int walks_with_weights(const Case& test) {
  const bool repeats_for_w = test.schedule.starts_with("zb") && test.recompute == "full";
  return test.recompute == "stage" || repeats_for_w ? 3 : 2;
}

/// Weights then take turns as without a pipeline.
TEST_F(Traffics, UnderAPipelineThatReshardsAreAGatherAWalkAtMost) {
  if (ranks() != 4) GTEST_SKIP() << "needs 4 ranks: 2 stages x 2 shards";
  for (const Family& family : {Family{"gpipe", 1}, {"1f1b", 1}, {"zb_h1", 1}, {"zbv", 2}}) {
    for (const char* recompute : {"none", "full", "stage"}) {
      Case test{family.schedule,       4, 2, 2, recompute, {"reshard=always", "prefetch=0"},
                family.stages_per_rank};
      test.layers = 9;  // every rank has several blocks
      std::int64_t most = 0;
      for (const auto& [name, each] : measured(test)) {
        EXPECT_LE(each.gathers, walks_with_weights(test) * test.microbatches) << test.name() << ", " << name;
        EXPECT_EQ(each.reductions, 1) << test.name() << ", " << name;
        most = std::max(most, each.gathers);
      }
      EXPECT_GT(most, test.microbatches) << test.name() << ": groups take turns";
    }
  }
}

}  // namespace
}  // namespace caravan::jobs
