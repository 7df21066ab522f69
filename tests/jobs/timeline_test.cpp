#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "tests/jobs/job_test.hpp"

// The trace of a measured step: what its actions were made of, and what was exchanged meanwhile.
namespace caravan::test {
namespace {

using ::testing::Each;
using ::testing::IsSupersetOf;
using ::testing::Not;

/// A slice of a trace.
struct Slice {
  std::string name, kind, layer;
  double begin, end;
};

constexpr double kRounding = 0.002;  // microseconds: times have three digits behind the point

bool overlap(const Slice& a, const Slice& b) {
  return a.begin < b.end - kRounding && b.begin < a.end - kRounding;
}

/// The slices of one rank, by the name of their row.
class Rows {
 public:
  Rows(const std::string& path, int rank) {
    std::ifstream file(path);
    std::map<int, std::string> names;
    const auto events = nlohmann::json::parse(file).at("traceEvents");
    for (const auto& event : events) {
      if (event.at("name") == "thread_name" && event.at("pid") == rank)
        names[event.at("tid")] = event.at("args").at("name");
    }
    for (const auto& event : events) {
      if (event.at("ph") != "X" || event.at("pid") != rank) continue;
      const double begin = event.at("ts");
      rows_[names[event.at("tid")]].push_back({event.at("name"), event.at("cat"),
                                               event.at("args").value("layer", ""), begin,
                                               begin + event.at("dur").get<double>()});
    }
  }
  const std::vector<Slice>& operator[](const std::string& row) { return rows_[row]; }
  /// All that begin with these words, in whatever row of the lane.
  std::vector<Slice> exchanges(const std::string& words, const std::string& lane = "shard lane") const {
    std::vector<Slice> found;
    for (const auto& [row, slices] : rows_) {
      if (!row.starts_with(lane)) continue;
      for (const Slice& slice : slices)
        if (slice.name.starts_with(words)) found.push_back(slice);
    }
    return found;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [row, slices] : rows_) names.push_back(row);
    return names;
  }
  /// Slices of a row that overlap their neighbours, which viewers do not draw.
  int collisions() {
    int found = 0;
    for (auto& [row, slices] : rows_) {
      std::sort(slices.begin(), slices.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
      for (std::size_t at = 1; at < slices.size(); ++at)
        found += slices[at].begin < slices[at - 1].end - kRounding ? 1 : 0;
    }
    return found;
  }

 private:
  std::map<std::string, std::vector<Slice>> rows_;
};

class TimelineJob : public JobTest {
 protected:
  Rows traced(int ranks, std::vector<std::string> overrides, const std::string& name = "run") {
    overrides.insert(overrides.end(), {"metrics.timeline_step=2", "train.steps=3", "model.layers=5",
                                       "model.dim=128", "train.sequence_length=64", "data.vocab_size=64"});
    EXPECT_TRUE(ended_with(run(train(job(kMiniJob), name, ranks, overrides)), 0));
    return {file(name + "/timeline-2.json"), 0};
  }
};

TEST_F(TimelineJob, HasARowOfTheVisitsOfEachLayer) {
  Rows rows = traced(0, {"train.recompute=full"});
  EXPECT_THAT(rows.names(), ::testing::UnorderedElementsAre("actions", "layers"));
  std::map<std::string, std::vector<std::string>> layers_of_kind;
  for (const Slice& visit : rows["layers"]) {
    layers_of_kind[visit.kind].push_back(visit.layer);
    const auto inside = [&](const Slice& action) {
      return action.begin - 1 <= visit.begin && visit.end <= action.end + 1;
    };
    EXPECT_TRUE(std::any_of(rows["actions"].begin(), rows["actions"].end(), inside)) << visit.name;
  }
  const std::vector<std::string> all{"tok_embeddings", "layers.0", "layers.4", "output"};
  EXPECT_FALSE(layers_of_kind.contains("REDUCE_GRAD")) << "nobody divides parameters";
  for (const char* kind : {"F", "I", "W"}) EXPECT_THAT(layers_of_kind[kind], IsSupersetOf(all)) << kind;
  EXPECT_THAT(layers_of_kind["R"], IsSupersetOf({"layers.0", "layers.3"}));
  EXPECT_THAT(layers_of_kind["R"], Each(Not(::testing::AnyOf("tok_embeddings", "output"))));
  EXPECT_EQ(rows.collisions(), 0);
}

TEST_F(TimelineJob, SaysRWhereAStageGoesForwardAgain) {
  Rows rows = traced(2, {"parallel.pipeline=2", "parallel.microbatches=4", "train.recompute=stage"});
  std::map<std::string, int> visits;
  for (const Slice& visit : rows["layers"]) ++visits[visit.kind];
  EXPECT_GT(visits["R"], 0);
  EXPECT_EQ(visits["R"], visits["F"]) << "of the first stage every forward is made twice";
}

TEST_F(TimelineJob, ShowsGathersUnderWayWhileOtherLayersCompute) {
  Rows rows = traced(2, {"parallel.data_shard=2"});
  int hidden = 0;
  for (const Slice& gather : rows.exchanges("gather of layers.")) {
    EXPECT_EQ(gather.kind, "UNSHARD");
    EXPECT_LE(gather.begin, gather.end);
    const std::string layer =
        gather.name.substr(std::string("gather of ").size(), std::string("layers.0").size());
    const auto hides = [&](const Slice& visit) { return visit.layer != layer && overlap(visit, gather); };
    hidden += std::any_of(rows["layers"].begin(), rows["layers"].end(), hides) ? 1 : 0;
  }
  EXPECT_GT(hidden, 0);
  EXPECT_GE(rows.exchanges("reduction of layers.").size(), 5u);
  EXPECT_GE(rows.exchanges("reduction of output").size(), 1u);
  EXPECT_EQ(rows.collisions(), 0);
}

TEST_F(TimelineJob, NeverShowsALayerAtWorkBeforeItsWeightsAreThere) {
  Rows rows = traced(2, {"parallel.data_shard=2", "parallel.prefetch=0"});
  for (const Slice& gather : rows.exchanges("gather of layers.")) {
    const std::string layer =
        gather.name.substr(std::string("gather of ").size(), std::string("layers.0").size());
    for (const Slice& visit : rows["layers"])
      EXPECT_FALSE(visit.layer == layer && visit.kind != "REDUCE_GRAD" && overlap(visit, gather))
          << gather.name << " while " << visit.name;
  }
  EXPECT_GE(rows.exchanges("gather of layers.").size(), 5u);
}

TEST_F(TimelineJob, DrawsExchangesBelowTheActionsOfTheirRank) {
  traced(2, {"parallel.data_shard=2"});
  const std::string drawn = slurp(file("run/timeline-2.svg"));
  EXPECT_THAT(drawn, ::testing::HasSubstr("<g><title>rank 0: gather of layers.0, "));
  EXPECT_THAT(drawn, ::testing::HasSubstr("<g><title>rank 0: reduction of layers.0, "));
  EXPECT_THAT(drawn, ::testing::HasSubstr("below: gathers"));
}

TEST_F(TimelineJob, OfAPipelineHasTheRowsOfEveryRank) {
  traced(4, {"parallel.pipeline=2", "parallel.data_shard=2", "train.global_batch_size=8"});
  Rows first(file("run/timeline-2.json"), 0), last(file("run/timeline-2.json"), 1);
  EXPECT_EQ(first.exchanges("gather of embedding").size(), 1u);
  EXPECT_EQ(first.exchanges("reduction of embedding").size(), 1u);
  EXPECT_EQ(last.exchanges("gather of output").size(), 1u);
  EXPECT_FALSE(last["layers"].empty());
}

/// Exchanges of rows while which this rank multiplied for another action, and all.
struct Hiding {
  int by_other_walk = 0, by_own_walk = 0, all = 0;
};

Hiding hiding_of(Rows& rows) {
  Hiding hiding;
  const auto is_of_forward = [](const Slice& slice) { return slice.kind == "F"; };
  for (const Slice& exchange : rows.exchanges("", "expert lane")) {
    ++hiding.all;
    const auto count = [&](bool other) {
      return std::any_of(rows["layers"].begin(), rows["layers"].end(), [&](const Slice& visit) {
        return overlap(visit, exchange) && (is_of_forward(visit) != is_of_forward(exchange)) == other;
      });
    };
    hiding.by_other_walk += count(true) ? 1 : 0;
    hiding.by_own_walk += count(false) ? 1 : 0;
  }
  return hiding;
}

class ExpertTimeline : public TimelineJob, public ::testing::WithParamInterface<std::string> {
 protected:
  Hiding of(const std::string& schedule) {
    Rows rows = traced(
        4,
        {"parallel.pipeline=2", "parallel.data_shard=2", "parallel.expert=2", "parallel.schedule=" + schedule,
         "train.global_batch_size=8", "model.moe_step=1", "train.recompute=" + GetParam()},
        schedule);
    return hiding_of(rows);
  }
};
INSTANTIATE_TEST_SUITE_P(Recompute, ExpertTimeline, ::testing::Values("none", "full", "selective"),
                         [](const auto& test) { return test.param; });

/// A forward and a backward that walk in turn: rows of the one travel while the other multiplies. Where walks
/// come one after the other, only what their own walk has left hides rows.
TEST_P(ExpertTimeline, OfDualpipevHidesTheRowsOfAWalkBehindTheProductsOfAnother) {
  const Hiding interleaved = of("dualpipev"), in_turn = of("1f1b");
  EXPECT_GT(interleaved.by_other_walk, 0);
  EXPECT_EQ(in_turn.by_other_walk, 0);
  EXPECT_GT(in_turn.by_own_walk, 0) << "weight gradients and the shared expert";
  EXPECT_GT(interleaved.all, 0);
}

}  // namespace
}  // namespace caravan::test
