#pragma once

#include <deque>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "caravan/mesh.hpp"
#include "core/run/group_exchange.hpp"
#include "core/run/place_gathers.hpp"

namespace caravan {

/// The parameter groups of one stage's layers: where in its walks they travel, and what the actions UNSHARD
/// and REDUCE_GRAD of a plan come to.
class StageGroups {
 public:
  /// `exchanges`: of all stages of the rank; borrowed.
  StageGroups(const Stage& stage, std::deque<GroupExchange>& exchanges, const RoomRule& rule);

  Walk place(const Walk& walk) const { return place_gathers(walk, layers_, visits_, prefetch_); }
  /// UNSHARD: posts the gathering of what is not whole.
  void unshard();
  /// Before a walk. Error where its weights are to come by UNSHARD and did not.
  void require();
  /// REDUCE_GRAD: posts the sums of gradients that no walk sums.
  void reduce();
  /// The walk to come is the last of the stage that adds to weight gradients.
  void expect_final(bool expected);
  void progress();
  /// See GroupExchange.
  void record(RunRecorder* recorder);

  /// Those of this stage, in the order of their first use.
  const std::vector<GroupExchange*>& exchanges() const noexcept { return exchanges_; }
  /// What each of them does in walks.
  const std::vector<GroupVisits>& visits() const noexcept { return visits_; }

 private:
  std::vector<GroupExchange*> exchanges_;
  std::vector<GroupVisits> visits_;
  GroupsOfLayers layers_;
  GatherWhen gathers_;
  int prefetch_;
};

/// Parameters that this rank holds in stretches (ParameterStore::divide): their exchanges during a step.
class ShardedParameters {
 public:
  /// Borrows all; `rule` is the one that the store's groups were made with. Nothing is posted here.
  ShardedParameters(Device& device, ParameterStore& store, Mesh& mesh,
                    const std::vector<std::unique_ptr<Stage>>& stages, const RoomRule& rule);
  ShardedParameters(const ShardedParameters&) = delete;

  /// Of the rank's stage `index`.
  StageGroups& stage(std::size_t index) { return stages_[index]; }
  /// Before the first backward of a step. `replicas`: sums stretches over ranks that hold the same; or null.
  void start_step(GradientReducer* replicas);
  /// Returns when every stretch holds the sum over all ranks.
  void finish_step();
  /// Before weights are written between the walks of two steps, by an update or a load: what was gathered, or
  /// is on its way for the next walk, is old.
  void weights_changed();
  /// What the next step gathers first; null where walks gather nothing, or not that first of all.
  GroupExchange* first_gathered();
  const std::deque<GroupExchange>& exchanges() const noexcept { return exchanges_; }

 private:
  RepeatedGradients repeated_;
  std::map<int, WeightRoom> rooms_;
  std::deque<GroupExchange> exchanges_;  ///< in the order of the store's groups
  std::vector<StageGroups> stages_;
  GradientReducer* replicas_ = nullptr;
};

}  // namespace caravan
