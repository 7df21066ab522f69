#include "core/run/place_gathers.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

// Where parameter groups travel in a walk: whatever the layers, the rooms and the recomputation, a group is
// whole when a layer uses it, and nobody takes a room that is in use or still being emptied.
namespace caravan::testing {
namespace {

class Named final : public Segment {
 public:
  Named(std::string name, Lane lane) : name_(std::move(name)), lane_(lane) {}
  std::string_view name() const override { return name_; }
  Lane lane() const override { return lane_; }
  bool needs_pending(Lane) const override { return false; }
  void forward(Run&, Frame&) override {}
  void backward_input(Run&, Frame&) override {}

 private:
  std::string name_;
  Lane lane_;
};

class OneSegment final : public Layer {
 public:
  explicit OneSegment(int index) : segment_("layer " + std::to_string(index), Lane::compute) {}
  const std::vector<Segment*>& segments() const override { return segments_; }
  const std::vector<Parameter*>& parameters() const override { return parameters_; }
  void plan(const BatchShape&, StashPlan&) override {}
  double forward_flops(const BatchShape&) const override { return 0; }

 private:
  Named segment_;
  std::vector<Segment*> segments_{&segment_};
  std::vector<Parameter*> parameters_;
};

/// A stage whose first and last layer have groups of their own, and whose inner layers' groups take turns;
/// every second inner layer has a second group, as experts are.
struct TestStage {
  struct Group {
    Named gather, prepare, reduce, reduce_last;
    explicit Group(const std::string& name)
        : gather("gather " + name, Lane::shard),
          prepare("prepare " + name, Lane::compute),
          reduce("reduce " + name, Lane::shard),
          reduce_last("reduce " + name, Lane::shard) {}
  };

  TestStage(int inner, int weight_turns, int gradient_turns)
      : layers_of(static_cast<std::size_t>(inner) + 2) {
    const auto add = [&](std::size_t layer, int weight_room, int gradient_room, bool reduces) {
      segments.push_back(std::make_unique<Group>(std::to_string(segments.size())));
      Group& group = *segments.back();
      layers_of[layer].push_back(groups.size());
      groups.push_back({&group.gather, &group.prepare, &group.reduce, &group.reduce_last, weight_room,
                        gradient_room, true, reduces});
    };
    for (int layer = 0; layer < inner + 2; ++layer) {
      made.push_back(std::make_unique<OneSegment>(layer));
      layers.push_back(made.back().get());
      const auto at = static_cast<std::size_t>(layer);
      const bool is_end = layer == 0 || layer == inner + 1;
      if (is_end) add(at, layer, layer, false);
      if (!is_end) add(at, 1000 + layer % weight_turns, 1000 + layer % gradient_turns, true);
      if (!is_end && layer % 2 == 0)
        add(at, 2000 + layer / 2 % weight_turns, 2000 + layer / 2 % gradient_turns, true);
    }
  }
  std::vector<std::unique_ptr<OneSegment>> made;
  std::vector<Layer*> layers;
  std::vector<std::unique_ptr<Group>> segments;
  std::vector<GroupVisits> groups;
  GroupsOfLayers layers_of;
};

/// Follows a walk, an exchange being over only when a visit says that it waits for it or the walk has ended.
class Follower {
 public:
  Follower(const TestStage& stage, const Walk& walk) : stage_(stage), walk_(walk) {}

  void follow() {
    for (std::size_t index = 0; index < walk_.size(); ++index) {
      for (const std::size_t waited : walk_[index].waits_for) {
        ASSERT_LT(waited, index);
        end(waited);
      }
      visit(index);
      most_under_way_ = std::max(most_under_way_, under_way_.size());
    }
    EXPECT_LE(most_under_way_, 14u) << "more than a cursor keeps";
  }
  int count(const std::string& what) const {
    return static_cast<int>(std::count_if(walk_.begin(), walk_.end(), [&](const Visit& visit) {
      return visit.segment->name().starts_with(what);
    }));
  }

 private:
  void end(std::size_t visit) {
    const auto found = under_way_.find(visit);
    if (found == under_way_.end()) return;  // ended by an earlier one
    const GroupVisits& group = stage_.groups[found->second];
    if (walk_[visit].segment == group.gather)
      whole_[group.weight_room] = found->second;
    else
      emptied_.erase(group.gradient_room);
    under_way_.erase(found);
  }

  void visit(std::size_t index) {
    const Visit& visit = walk_[index];
    for (std::size_t group = 0; group < stage_.groups.size(); ++group) {
      const GroupVisits& known = stage_.groups[group];
      if (visit.segment == known.gather) {
        whole_.erase(known.weight_room);
        under_way_[index] = group;
        return;
      }
      if (visit.segment == known.prepare) {
        EXPECT_FALSE(emptied_.contains(known.gradient_room)) << "prepared while it is being summed";
        prepared_[known.gradient_room] = group;
        return;
      }
      if (visit.segment == known.reduce || visit.segment == known.reduce_last) {
        EXPECT_EQ(prepared_[known.gradient_room], group);
        emptied_.insert(known.gradient_room);
        under_way_[index] = group;
        return;
      }
    }
    use(visit);
  }

  void use(const Visit& visit) {
    const bool adds = visit.what == Visit::What::backward_weight;
    for (const std::size_t group : stage_.layers_of[visit.layer]) {
      const GroupVisits& known = stage_.groups[group];
      if (!adds) {
        EXPECT_TRUE(whole_.contains(known.weight_room) && whole_[known.weight_room] == group)
            << visit.segment->name() << " uses group " << group;
      }
      if (adds && known.reduces) {
        EXPECT_FALSE(emptied_.contains(known.gradient_room));
        EXPECT_TRUE(prepared_.contains(known.gradient_room) && prepared_[known.gradient_room] == group)
            << visit.segment->name() << " adds to group " << group;
      }
    }
  }

  const TestStage& stage_;
  const Walk& walk_;
  std::map<std::size_t, std::size_t> under_way_;  // visit, group
  std::map<int, std::size_t> whole_, prepared_;   // room, group
  std::set<int> emptied_;                         // rooms of gradients that are under way
  std::size_t most_under_way_ = 0;
};

RecomputePlan repeating(int layers, int every) {
  RecomputePlan plan(static_cast<std::size_t>(layers));
  for (int layer = 1; layer + 1 < layers; ++layer)
    plan[static_cast<std::size_t>(layer)] = {true, (layer - 1) % every == 0, {}};
  return plan;
}

class PlaceGathers : public ::testing::TestWithParam<std::tuple<int, int, int>> {
 protected:
  int inner() const { return std::get<0>(GetParam()); }
  int turns() const { return std::get<1>(GetParam()); }
  int prefetch() const { return std::get<2>(GetParam()); }
};

TEST_P(PlaceGathers, GivesEveryLayerItsGroupsAndNoRoomToTwo) {
  TestStage stage(inner(), turns(), 2);
  const int layers = inner() + 2;
  std::vector<Walk> walks{forward_walk(stage.layers), backward_input_walk(stage.layers)};
  for (const RecomputePlan& plan : {RecomputePlan{}, repeating(layers, 1), repeating(layers, 3)}) {
    walks.push_back(backward_walk(stage.layers, plan));
    walks.push_back(backward_weight_walk(stage.layers, plan));
  }
  for (const Walk& walk : walks) {
    const Walk placed = place_gathers(walk, stage.layers_of, stage.groups, prefetch());
    Follower follower(stage, placed);
    follower.follow();
  }
}

TEST_P(PlaceGathers, GathersEachGroupOnceAWalkAndSumsItOnce) {
  TestStage stage(inner(), turns(), 2);
  const int groups = static_cast<int>(stage.groups.size());
  const Walk forward = place_gathers(forward_walk(stage.layers), stage.layers_of, stage.groups, prefetch());
  EXPECT_EQ(Follower(stage, forward).count("gather"), groups);
  EXPECT_EQ(Follower(stage, forward).count("reduce"), 0);
  const Walk backward = place_gathers(backward_walk(stage.layers), stage.layers_of, stage.groups, prefetch());
  EXPECT_EQ(Follower(stage, backward).count("gather"), groups);
  EXPECT_EQ(Follower(stage, backward).count("reduce"), groups - 2) << "not those of the ends";
  // A layer that repeats its forward right before its backward needs no gather more.
  const Walk repeated = place_gathers(backward_walk(stage.layers, repeating(inner() + 2, 1)), stage.layers_of,
                                      stage.groups, prefetch());
  EXPECT_EQ(Follower(stage, repeated).count("gather"), groups);
}

INSTANTIATE_TEST_SUITE_P(Rooms, PlaceGathers,
                         ::testing::Combine(::testing::Values(1, 2, 3, 6, 9), ::testing::Values(1, 2, 4),
                                            ::testing::Values(0, 1, 3)));

TEST(PlaceGathers, KeepsFourSumsUnderWayWhereNoneWaitsForARoom) {
  TestStage stage(6, 2, 2);
  int room = 0;
  for (GroupVisits& group : stage.groups) {
    group.prepare = nullptr;
    group.gradient_room = room++;
    group.reduces = true;
  }
  const Walk placed = place_gathers(backward_walk(stage.layers), stage.layers_of, stage.groups, 1);
  std::vector<std::size_t> sums;
  for (std::size_t index = 0; index < placed.size(); ++index) {
    if (!placed[index].segment->name().starts_with("reduce")) continue;
    std::vector<std::size_t> expected;
    if (sums.size() >= kMostSums) expected.push_back(sums[sums.size() - kMostSums]);
    EXPECT_EQ(placed[index].waits_for, expected) << placed[index].segment->name();
    sums.push_back(index);
  }
  EXPECT_EQ(sums.size(), stage.groups.size());
  EXPECT_EQ(Follower(stage, placed).count("prepare"), 0);
}

TEST(PlaceGathers, FetchesOneGroupAhead) {
  TestStage stage(3, 2, 2);
  const Walk placed = place_gathers(forward_walk(stage.layers), stage.layers_of, stage.groups, 1);
  std::vector<std::string> names;
  for (const Visit& visit : placed) names.emplace_back(visit.segment->name());
  EXPECT_THAT(names,
              ::testing::ElementsAre("gather 0", "gather 1", "layer 0", "gather 2", "gather 3", "layer 1",
                                     "gather 4", "layer 2", "gather 5", "layer 3", "layer 4"));
}

}  // namespace
}  // namespace caravan::testing
