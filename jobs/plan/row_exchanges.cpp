#include "jobs/plan/row_exchanges.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "core/run/planned_walks.hpp"

namespace caravan::jobs {
namespace {

using Item = StepExchanges::Item;

/// The posts of the walks of one stage, each walk looked at once.
class StagePosts {
 public:
  StagePosts(StashLayout layout, Lane lane) : layout_(std::move(layout)), lane_(lane) {}

  Item of(const Walk& walk) {
    const auto [known, is_new] = of_.try_emplace(&walk);
    if (is_new) known->second = posts_in(walk);
    return known->second;
  }

 private:
  bool posts(const Visit& visit) const {
    if (visit.what == Visit::What::backward_weight || visit.segment->lane() != lane_) return false;
    if (visit.what != Visit::What::repeated_forward) return true;
    const StashLayout::LayerAddresses& addresses = layout_.layer(visit.layer);
    Frame frame;
    frame.repeats = addresses.repeats;
    frame.repeats_output = addresses.repeats_output;
    return visit.segment->posts_again(frame);
  }
  Item posts_in(const Walk& walk) const {
    Item item;
    for (const Visit& visit : walk) {
      const double bytes = visit.segment->sent_bytes(layout_.shape());
      if (bytes == 0 || !posts(visit)) continue;
      ++item.times;
      item.bytes += bytes;
    }
    return item;
  }

  StashLayout layout_;
  Lane lane_;
  std::map<const Walk*, Item> of_;
};

}  // namespace

Item row_exchanges(TrainSetup& setup, Lane lane) {
  const RankPlan& plan = setup.pipeline().training;
  const std::vector<int>& stages = plan.stages(setup.mesh().coordinate(MeshAxis::pp));
  std::vector<StagePosts> posts;
  std::vector<StageWalks> walks;
  for (std::size_t at = 0; at < stages.size(); ++at) {
    const Stage& stage = *setup.model().stages()[at];
    StashLayout layout = stash_layout(stage, plan, at, setup.shape());
    walks.emplace_back(stage.layers(), layout.recompute(), layout.separates(), nullptr);
    posts.emplace_back(std::move(layout), lane);
  }
  Item sum;
  PlannedWalks(plan, stages, walks).for_each([&](const Action&, std::size_t at, const Walk* walk) {
    if (!walk) return;
    const Item item = posts[at].of(*walk);
    sum.times += item.times;
    sum.bytes += item.bytes;
  });
  return sum;
}

std::size_t largest_row_exchange(const ModelInstance& model, const BatchShape& shape, Memory memory) {
  const auto takes_memory = [&](Lane lane) {
    return lane == Lane::tensor || (lane == Lane::shard && memory == Memory::device);
  };
  double most = 0;
  for (const auto& stage : model.stages())
    for (const Layer* layer : stage->layers())
      for (const Segment* segment : layer->segments())
        if (takes_memory(segment->lane())) most = std::max(most, segment->sent_bytes(shape));
  return static_cast<std::size_t>(most);
}

}  // namespace caravan::jobs
