#include "jobs/plan/operator_uses.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "caravan/error.hpp"
#include "core/run/logit_clip.hpp"
#include "core/run/matrix_updates.hpp"
#include "core/run/update_groups.hpp"
#include "jobs/plan/paper_device.hpp"
#include "jobs/plan/paper_walk.hpp"

namespace caravan::jobs {
namespace {

class Uses {
 public:
  void add(std::string_view name, const OperatorPath& path) {
    const auto same = [&](const OperatorUse& use) {
      return use.name == name && use.path.path == path.path && use.path.why == path.why;
    };
    const auto found = std::find_if(uses_.begin(), uses_.end(), same);
    if (found == uses_.end()) {
      uses_.push_back({std::string(name), path, 1});
    } else {
      ++found->calls;
    }
  }
  std::vector<OperatorUse> take() { return std::exchange(uses_, {}); }

 private:
  std::vector<OperatorUse> uses_;
};

/// What the optimizer does with the logits that layers note; none where it looks at none.
std::unique_ptr<LogitClip> clip_of(Device& paper, ModelInstance& model, const Optimizer& optimizer) {
  const double limit = optimizer.largest_logit();
  return limit > 0 ? std::make_unique<LogitClip>(paper, model.parameters(), limit) : nullptr;
}

void update(TrainSetup& setup, Device& paper, ModelInstance& model, Mesh& mesh,
            const PaperSurroundings& around) {
  Ops& ops = paper.ops();
  ops.sum_of_squares({model.parameters().all_gradients(), around.squares});
  ops.clip_factor({around.squares, around.clip, setup.job().train.max_norm});
  Optimizer& optimizer = setup.optimizer();
  const OptimizerStep step{1, setup.job().train.lr.at(1), around.clip};
  const std::vector<UpdateGroup> groups = update_groups(model.parameters(), optimizer);
  for (const UpdateGroup& group : groups)
    if (group.by_matrix) optimizer.prepare(ops, step, group);
  if (MatrixUpdates::are_wanted(model.parameters()))
    MatrixUpdates(paper, model.parameters(), optimizer, &mesh).run();
  for (const UpdateGroup& group : groups) optimizer.update(ops, step, group);
  for (const auto& stage : model.stages()) {
    for (Layer* layer : stage->layers()) layer->end_of_step(ops, around.clip);
  }
}

std::string row(const OperatorUse& use) {
  const bool plain = use.path.pace == OperatorPath::Pace::plain;
  return fmt::format("  {:<31}{:>4}  {}{}{}\n", use.name, use.calls, use.path.path, plain ? ", slow" : "",
                     use.path.why.empty() ? "" : " (" + use.path.why + ")");
}

}  // namespace

std::vector<OperatorUse> operator_uses(TrainSetup& setup, Documents documents) {
  Uses uses;
  PaperDevice paper(setup.device(),
                    [&](std::string_view name, const OperatorPath& path) { uses.add(name, path); });
  const auto mesh = make_paper_mesh(setup.mesh().layout(), setup.mesh().rank(), PaperExchanges::none);
  const auto model = setup.stages_of_rank(mesh->coordinate(MeshAxis::pp), paper, *mesh);
  // Not the layers' constants, which are computed: a table of rotations may be long.
  model->parameters().allocate(paper, ParameterStore::Content::weights_and_gradients, setup.slots().size());
  StageMemory memory(paper, *model, setup.pipeline().training, setup.shape());
  const std::unique_ptr<LogitClip> clip = clip_of(paper, *model, setup.optimizer());
  const PaperSurroundings around(paper, setup.shape(), model->stages().front()->width());
  for (const LocalStage& local : memory.stages())
    walk_on_paper(paper, local.stage, local.stash, around,
                  setup.share().token_map(0, setup.shape().sequence_length()), documents);
  update(setup, paper, *model, *mesh, around);
  if (clip) clip->clip(around.clip);
  return uses.take();
}

std::string describe_operators(TrainSetup& setup) {
  std::string text =
      fmt::format("\n# operators on {}: calls of a micro-batch and the update, and what runs them\n",
                  setup.device().name());
  Documents documents = Documents::no;
  try {
    if (setup.open_data({})->has_documents()) documents = Documents::yes;
  } catch (const Error& error) {
    text += fmt::format("  without documents, as the data cannot be opened: {}\n", error.message());
  }
  for (const OperatorUse& use : operator_uses(setup, documents)) text += row(use);
  return text;
}

}  // namespace caravan::jobs
