#include "jobs/check/paper_trial.hpp"

#include "caravan/mesh.hpp"
#include "jobs/check/own_process.hpp"
#include "jobs/check/rig_model.hpp"
#include "jobs/plan/paper_device.hpp"
#include "jobs/plan/paper_walk.hpp"

namespace caravan::jobs {
namespace {

constexpr std::int64_t kPaperIds = 11, kPaperSequences = 2, kPaperTokens = 7;

void walk_once(Registry& registry, const RigModel& model, PaperPlace place) {
  const auto asked = registry.create<Device>("reference", Host::of(registry), Config::map());
  PaperDevice paper(*asked, [](std::string_view, const OperatorPath&) {});
  const auto mesh = make_paper_mesh(MeshLayout({.dp_shard = place.ranks, .ep = place.ranks}, place.ranks),
                                    place.rank, PaperExchanges::none);
  ParameterStore store(DType::f32);
  Stage stage(Host::of(registry, &paper, &store, mesh.get()), model);
  store.allocate(paper, ParameterStore::Content::weights_and_gradients, 0);
  const BatchShape shape{kPaperSequences, kPaperTokens, Phase::train};
  const PaperSurroundings around(paper, shape, stage.width());
  for (const StashMode mode : {StashMode::fused, StashMode::split}) {
    Stash stash(paper, StashLayout(stage.layers(), shape, mode, stage.width()), 1);
    walk_on_paper(paper, stage, stash, around, TokenMap::whole(0, kPaperTokens), Documents::no);
  }
}

}  // namespace

std::string wrong_on_paper(Registry& registry, const std::string& layer, const Config& keys,
                           PaperPlace place) {
  const RigModel model(layer, keys, kPaperIds);
  return problem_in_own_process([&] { walk_once(registry, model, place); });
}

}  // namespace caravan::jobs
