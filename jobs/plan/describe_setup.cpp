#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "caravan/dispatch.hpp"
#include "jobs/plan/exchanges.hpp"
#include "jobs/plan/operator_uses.hpp"
#include "jobs/plan/train_setup.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

/// Stages with their layers and ranks, and the first steps of the plan of rank 0.
std::string describe_pipeline(TrainSetup& setup) {
  const PipelineSetup& pipeline = setup.pipeline();
  const std::vector<Step>& row = pipeline.training.row;
  std::string text = "\n# stages\n";
  for (std::size_t stage = 0; stage < pipeline.layers.size(); ++stage) {
    const auto& names = setup.whole_model().model().layers();
    const LayerRange& range = pipeline.layers[stage];
    text +=
        fmt::format("  {} on pipeline rank {}: {} .. {}\n", stage, pipeline.training.placement.rank_of[stage],
                    names[static_cast<std::size_t>(range.begin)].name,
                    names[static_cast<std::size_t>(range.end - 1)].name);
  }
  text += fmt::format("\n# plan of rank 0 (schedule {})\n ", setup.job().parallel.schedule);
  const std::size_t shown = std::min<std::size_t>(row.size(), 24);
  for (std::size_t index = 0; index < shown; ++index) text += " " + to_string(row[index]);
  if (shown < row.size()) text += fmt::format(" ... ({} steps)", row.size());
  return text + "\n";
}

/// Of the layers with experts; nothing where the model has none, or no such choice.
std::optional<ChosenDispatcher> dispatcher_of(TrainSetup& setup) {
  const Config& model = setup.job().resolved.at("model");
  if (!model.has("dispatch") || model.find("experts").is_null() || model.at("experts").as_int() == 0)
    return {};
  return choose_dispatcher(Host::of(setup.registry(), &setup.device(), nullptr, &setup.mesh()),
                           model.at("dispatch"));
}

/// Who has which experts, and how rows come to them.
std::string describe_experts(TrainSetup& setup, const ChosenDispatcher& chosen) {
  const std::int64_t experts = setup.job().resolved.at("model").at("experts").as_int();
  const int ranks = setup.mesh().degree(MeshAxis::ep);
  const std::string where =
      ranks == 1 ? "all on every rank"
                 : fmt::format("{} of {} on each of {} ranks", experts / ranks, experts, ranks);
  return fmt::format("  experts: {}; dispatch {}{}\n", where, chosen.name,
                     chosen.refused.empty() ? "" : " (" + chosen.refused + ")");
}

std::string describe_recomputation(TrainSetup& setup) {
  std::string text;
  if (setup.section_costs()) {
    text += "\n# forward of each section, measured\n" + setup.section_costs()->describe();
  } else if (setup.job().train.recompute.kind == RecomputeRule::Kind::budget) {
    text +=
        "\n# forward of each section: measured where the ranks run; here as if everything were repeated\n";
  }
  if (setup.pipeline().training.recompute.empty()) return text;
  return text + "\n# recomputation on rank 0\n" +
         describe_recompute({setup.model(), setup.pipeline().training, setup.shape()});
}

}  // namespace

std::string describe(TrainSetup& setup) {
  const BatchShare& share = setup.share();
  std::string text = "# resolved job\n" + setup.job().resolved.to_yaml();
  text += fmt::format("\n# layout\n  {}: {}\n  device: {}; computes in {}\n",
                      counted(setup.mesh().layout().ranks(), "rank"), setup.mesh().layout().describe(),
                      setup.device().description(), name_of(setup.compute()));
  text +=
      fmt::format("  a step: {} of {}, {} a micro-batch, {} a rank, {:.3g} TFLOP\n",
                  counted(share.global_batch, "sequence"), counted(setup.shape().sequence_length(), "token"),
                  share.local_batch, counted(share.microbatches(), "micro-batch", "micro-batches"),
                  setup.step_flops() * 1e-12);
  const std::optional<ChosenDispatcher> dispatcher = dispatcher_of(setup);
  if (dispatcher) text += describe_experts(setup, *dispatcher);
  text += describe(setup.table_sums());
  text += describe_pipeline(setup);
  text += describe_recomputation(setup);
  text += describe_operators(setup);
  std::string way = way_between_ranks(setup.device());
  if (dispatcher && !dispatcher->made->row_path().empty())
    way += "; rows of experts " + dispatcher->made->row_path();
  text += describe(step_exchanges(setup), way);
  text += "\n# memory of rank 0\n" + setup.memory().describe();
  return text + "\n# parameters\n  " + describe_parameters(setup.whole_model().parameters()) + "\n";
}

}  // namespace caravan::jobs
