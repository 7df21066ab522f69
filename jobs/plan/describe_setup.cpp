#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "caravan/check.hpp"
#include "caravan/dispatch.hpp"
#include "caravan/low_rank.hpp"
#include "jobs/plan/clipped_layers.hpp"
#include "jobs/plan/exchanges.hpp"
#include "jobs/plan/operator_uses.hpp"
#include "jobs/plan/paper_setup.hpp"
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

/// Of all that depends on who updates which parameters.
double bytes_of_parameters(TrainSetup& setup) {
  const StepExchanges all = step_exchanges(setup);
  return all.gathers.bytes + all.reductions.bytes + all.replicas.bytes + all.table.bytes;
}

/// The same where replicas go the other way; nothing where the job would be refused.
std::optional<double> bytes_the_other_way(TrainSetup& setup) {
  const bool divides = setup.optimizer_division().by_replicas;
  const std::string change = fmt::format("parallel.divide_optimizer={}", !divides);
  try {
    PaperSetup other(changed_job(setup, {change}), setup.mesh().rank(), setup.layout().ranks(),
                     setup.device());
    return bytes_of_parameters(other.setup());
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// Who updates what, where there are replicas.
std::string describe_optimizer(TrainSetup& setup) {
  const OptimizerDivision& division = setup.optimizer_division();
  if (division.replicas == 1) return "";
  const std::string bytes = bytes_text(bytes_of_parameters(setup));
  const auto other = bytes_the_other_way(setup);
  const std::string others = other ? bytes_text(*other) : "refused";
  return division.by_replicas
             ? fmt::format("  optimizer: divided over {} replicas, {} a step (each its own: {})\n",
                           division.replicas, bytes, others)
             : fmt::format("  optimizer: each of {} replicas its own, {} a step (divided: {}; {})\n",
                           division.replicas, bytes, others, division.why_not);
}

std::string rule_text(const UpdateRule& rule) {
  if (rule.frozen) return "frozen";
  std::string text;
  if (rule.lr_factor != 1) text += fmt::format("learning rate x {}", rule.lr_factor);
  if (rule.weight_decay)
    text += fmt::format("{}weight decay {}", text.empty() ? "" : ", ", *rule.weight_decay);
  return text;
}

/// How many parameters each group of the optimizer has.
std::string describe_groups(const OptimizerGroups& groups, const ParameterStore& whole_model) {
  if (groups.empty()) return "";
  std::vector<std::int64_t> counts(groups.groups().size() + 1);
  for (const auto& parameter : whole_model.parameters())
    counts[groups.group_of(parameter->spec()).value_or(counts.size() - 1)] += parameter->spec().shape.count();
  std::string text = "  of these, in optimizer.groups\n";
  for (std::size_t index = 0; index + 1 < counts.size(); ++index) {
    const OptimizerGroups::Group& group = groups.groups()[index];
    text += fmt::format("  {:>16} {}: {}\n", with_commas(counts[index]), group.name(), rule_text(group.rule));
  }
  return text + fmt::format("  {:>16} in none\n", with_commas(counts.back()));
}

/// How much of the model adapters are, and what they adapt.
std::string describe_adapters(const Config& lora, const ParameterStore& whole_model) {
  const std::optional<LowRankRule> rule = read_low_rank(lora);
  if (!rule) return "";
  std::int64_t trained = 0, adapted = 0;
  for (const auto& parameter : whole_model.parameters()) {
    if (is_adapter(parameter->spec().name)) trained += parameter->spec().shape.count();
    for (std::size_t part = 0; part < parameter->spec().parts.size(); ++part)
      if (rule->fits(parameter->spec().parts[part].name) && !is_adapter(parameter->spec().name))
        adapted += parameter->part_shape(part).count();
  }
  return fmt::format(
      "  of these, with lora of rank {}, scale {:g}\n  {:>16} of adapters, which are trained\n  {:>16} "
      "adapted, "
      "frozen\n  {:>16} frozen alone\n",
      rule->rank, rule->scale, with_commas(trained), with_commas(adapted),
      with_commas(whole_model.count() - trained - adapted));
}

}  // namespace

std::string describe(TrainSetup& setup) {
  const BatchShare& share = setup.share();
  std::string text = "# resolved job\n" + setup.job().resolved.to_yaml();
  text += fmt::format("\n# layout\n  {}: {}\n  device: {}; computes in {}\n",
                      counted(setup.mesh().layout().ranks(), "rank"), setup.layout().describe(),
                      setup.device().description(), name_of(setup.compute()));
  text +=
      fmt::format("  a step: {} of {}, {} a micro-batch, {} a rank, {:.3g} TFLOP\n",
                  counted(share.global_batch, "sequence"), counted(setup.shape().sequence_length(), "token"),
                  share.local_batch, counted(share.microbatches(), "micro-batch", "micro-batches"),
                  setup.step_flops() * 1e-12);
  const std::optional<ChosenDispatcher> dispatcher = dispatcher_of(setup);
  if (dispatcher) text += describe_experts(setup, *dispatcher);
  text += describe_optimizer(setup);
  text += describe(setup.table_sums());
  text += describe_pipeline(setup);
  text += describe_recomputation(setup);
  text += describe_operators(setup);
  std::string way = way_between_ranks(setup.device());
  if (dispatcher && !dispatcher->made->row_path().empty())
    way += "; rows of experts " + dispatcher->made->row_path();
  text += describe(step_exchanges(setup), way);
  text += "\n# memory of rank 0\n" + setup.memory().describe();
  const ParameterStore& whole = setup.whole_model().parameters();
  text += "\n# parameters\n  " + describe_parameters(whole) + "\n";
  text += describe_adapters(setup.job().model.find("lora"), whole);
  text += describe_clip(setup.optimizer(), whole);
  return text + describe_groups(setup.job().optimizer_groups, whole);
}

}  // namespace caravan::jobs
