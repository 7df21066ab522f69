#include "jobs/plan/row_exchanges.hpp"

#include <algorithm>
#include <map>

namespace caravan::jobs {
namespace {

using Item = StepExchanges::Item;

/// The posts of the walks of one stage, each walk looked at once.
class StagePosts {
 public:
  StagePosts(const Stage& stage, const RankPlan& plan, std::size_t at, const BatchShape& shape)
      : layout_(stash_layout(stage, plan, at, shape)),
        walks_(stage.layers(), layout_.recompute(), layout_.separates(), nullptr) {}

  Item next(const Action& action) {
    const Walk& walk = walks_.next(action.kind, action.microbatch);
    const auto [known, is_new] = of_.try_emplace(&walk);
    if (is_new) known->second = posts_in(walk);
    return known->second;
  }

 private:
  bool posts(const Visit& visit) const {
    if (visit.what == Visit::What::backward_weight) return false;
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
  StageWalks walks_;
  std::map<const Walk*, Item> of_;
};

bool is_walk(const Action& action) {
  return action.kind <= ActionKind::recompute;
}

}  // namespace

Item row_exchanges(TrainSetup& setup) {
  const RankPlan& plan = setup.pipeline().training;
  const std::vector<int>& stages = plan.stages(setup.mesh().coordinate(MeshAxis::pp));
  std::vector<StagePosts> posts;
  for (std::size_t at = 0; at < stages.size(); ++at)
    posts.emplace_back(*setup.model().stages()[at], plan, at, setup.shape());
  Item sum;
  const auto add = [&](const Action& action) {
    const auto at =
        static_cast<std::size_t>(std::find(stages.begin(), stages.end(), action.stage) - stages.begin());
    const bool is_left_out =
        action.kind == ActionKind::forward && plan.places[at].forward_set(action.microbatch) == kNoPlace;
    if (!is_walk(action) || is_left_out) return;
    const Item item = posts[at].next(action);
    sum.times += item.times;
    sum.bytes += item.bytes;
  };
  for (const Step& step : plan.row) {
    add(step.action);
    if (step.overlapped) add(*step.overlapped);
  }
  return sum;
}

}  // namespace caravan::jobs
