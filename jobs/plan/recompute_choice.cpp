#include "jobs/plan/recompute_choice.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "caravan/check.hpp"
#include "jobs/plan/stage_memory.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Layers with an input and an output repeat. Not the embedding, which keeps nothing, and not the head, whose
/// forward makes gradients.
bool may_repeat(const Stage& stage, std::size_t index) {
  const bool is_embedding = stage.is_first() && index == 0;
  return !is_embedding && !(stage.is_last() && index + 1 == stage.layers().size());
}

/// Neighbours of one name are one block, as in the split of a pipeline.
bool starts_block(const Stage& stage, std::size_t index) {
  return index == 0 || !may_repeat(stage, index - 1) || stage.name(index) != stage.name(index - 1);
}

/// Of the usual sections' rule also what other ranks have sent: repeating it would send it again. A segment
/// that posts has the name of the section that it fills.
std::vector<std::string> kept_of(const Layer& layer, const RecomputeRule& rule, const BatchShape& shape) {
  std::vector<std::string> keeps = rule.keeps;
  if (keeps != usually_kept()) return keeps;
  for (const Segment* segment : layer.segments()) {
    const std::string name(segment->name());
    if (segment->sent_bytes(shape) > 0 && !contains(keeps, name)) keeps.push_back(name);
  }
  return keeps;
}

RecomputePlan plan_by_rule(const RecomputeRule& rule, const Stage& stage, const BatchShape& shape) {
  RecomputePlan plan(stage.layers().size());
  const bool keeps_inputs = contains(rule.keeps, kInputSection);
  std::int64_t block = -1;
  for (std::size_t index = 0; index < plan.size(); ++index) {
    if (!may_repeat(stage, index)) continue;
    const bool starts = starts_block(stage, index);
    if (starts) ++block;
    plan[index] = {true, keeps_inputs || (starts && block % rule.every == 0),
                   kept_of(*stage.layers()[index], rule, shape)};
  }
  return plan;
}

std::vector<RecomputePlan> plans_by_rule(const RecomputeRule& rule, const RankStages& stages) {
  std::vector<RecomputePlan> plans;
  for (const auto& stage : stages.model.stages()) plans.push_back(plan_by_rule(rule, *stage, stages.shape));
  return plans;
}

void check_sections(const std::vector<std::string>& keeps, ModelInstance& whole, const BatchShape& shape) {
  std::set<std::string> known{kInputSection};
  for (Layer* layer : whole.stage().layers()) {
    for (const LayerSection& section : sections_of(*layer, shape)) known.insert(section.name);
  }
  for (const std::string& section : keeps) {
    if (known.contains(section) || contains(usually_kept(), section)) continue;
    const std::string near = nearest_name(section, {known.begin(), known.end()});
    throw ConfigError(fmt::format("train.recompute keeps '{}' (no layer of this model has that section). {}",
                                  section,
                                  near.empty() ? fmt::format("Known: {}", fmt::join(known, ", "))
                                               : fmt::format("Did you mean '{}'?", near)));
  }
}

/// Something that a layer may keep, and the time that this saves.
struct Candidate {
  std::size_t stage, layer;
  std::string section;  ///< or kInputSection
  double bytes, seconds;
};

std::vector<Candidate> candidates_of(const RankStages& stages, const SectionCosts& costs) {
  std::vector<Candidate> found;
  for (std::size_t at = 0; at < stages.model.stages().size(); ++at) {
    const Stage& stage = *stages.model.stages()[at];
    const Shape input{stages.shape.rows(), stage.width()};
    const auto input_bytes = static_cast<double>(input.count()) * size_of(stages.shape.compute);
    for (std::size_t index = 0; index < stage.layers().size(); ++index) {
      if (!may_repeat(stage, index)) continue;
      Layer& layer = *stage.layers()[index];
      for (const LayerSection& section : sections_of(layer, stages.shape))
        found.push_back({at, index, section.name, static_cast<double>(section.bytes),
                         costs.seconds(layer, section.name)});
      if (starts_block(stage, index)) continue;
      const double seconds = costs.seconds(*stage.layers()[index - 1], std::string(kOutputSection));
      found.push_back({at, index, kInputSection, input_bytes, seconds});
    }
  }
  std::stable_sort(found.begin(), found.end(), [](const Candidate& a, const Candidate& b) {
    return a.seconds * b.bytes > b.seconds * a.bytes;
  });
  return found;
}

LayerRecompute keeping(LayerRecompute layer, const std::string& section) {
  if (section == kInputSection)
    layer.keeps_input = true;
  else
    layer.keeps.push_back(section);
  return layer;
}

std::size_t bytes_with(const RankStages& stages, std::vector<RecomputePlan> plans) {
  RankPlan plan = stages.plan;
  plan.recompute = std::move(plans);
  return StageMemory::planned(stages.model, plan, stages.shape).total();
}

/// Repeats everything, then keeps what saves most time for its bytes for as long as there is room. Where
/// costs are not known nothing is kept.
std::vector<RecomputePlan> plans_within(double budget, const RankStages& stages, const SectionCosts* costs) {
  const std::size_t all = bytes_with(stages, {});
  const auto room = static_cast<std::size_t>(budget <= 1 ? budget * static_cast<double>(all) : budget);
  if (all <= room) return {};
  std::vector<RecomputePlan> plans = plans_by_rule({RecomputeRule::Kind::every}, stages);
  const std::size_t least = bytes_with(stages, plans);
  CARAVAN_CHECK(
      least <= room, ConfigError,
      fmt::format("train.recompute.budget={} is {} for activations (with everything repeated they take {}, "
                  "with nothing {}). A larger budget, fewer sequences in a micro-batch, or more ranks?",
                  budget, bytes_text(static_cast<double>(room)), bytes_text(static_cast<double>(least)),
                  bytes_text(static_cast<double>(all))));
  if (!costs) return plans;
  for (const Candidate& candidate : candidates_of(stages, *costs)) {
    LayerRecompute& layer = plans[candidate.stage][candidate.layer];
    LayerRecompute before = std::exchange(layer, keeping(layer, candidate.section));
    if (bytes_with(stages, plans) > room) layer = std::move(before);
  }
  return plans;
}

}  // namespace

std::vector<RecomputePlan> choose_recompute(const RecomputeRule& rule, const RankStages& stages,
                                            ModelInstance& whole, const SectionCosts* costs) {
  switch (rule.kind) {
    case RecomputeRule::Kind::none:
    case RecomputeRule::Kind::stage:
      return {};
    case RecomputeRule::Kind::every:
      check_sections(rule.keeps, whole, stages.shape);
      return plans_by_rule(rule, stages);
    case RecomputeRule::Kind::budget:
      return plans_within(rule.budget, stages, costs);
  }
  return {};
}

namespace {

/// "keeps input, attention; repeats norm, qkv"
std::string describe_layer(Layer& layer, const LayerRecompute& recompute, const BatchShape& shape) {
  std::vector<std::string> keeps, repeats;
  (recompute.keeps_input ? keeps : repeats).emplace_back(kInputSection);
  for (const LayerSection& section : sections_of(layer, shape)) {
    const bool kept = !recompute.repeats || contains(recompute.keeps, section.name);
    (kept ? keeps : repeats).push_back(section.name);
  }
  return fmt::format("keeps {}; repeats {}",
                     keeps.empty() ? "nothing" : fmt::format("{}", fmt::join(keeps, ", ")),
                     repeats.empty() ? "nothing" : fmt::format("{}", fmt::join(repeats, ", ")));
}

std::string share_text(std::size_t bytes, std::size_t of) {
  return fmt::format("{} ({:.1f} %)", bytes_text(static_cast<double>(bytes)),
                     100 * static_cast<double>(bytes) / static_cast<double>(std::max<std::size_t>(of, 1)));
}

}  // namespace

std::string describe_recompute(const RankStages& stages) {
  std::vector<std::pair<std::string, std::vector<std::string>>> lines;  // what, names of layers
  for (std::size_t at = 0; at < stages.plan.recompute.size(); ++at) {
    const Stage& stage = *stages.model.stages()[at];
    for (std::size_t index = 0; index < stage.layers().size(); ++index) {
      if (!may_repeat(stage, index)) continue;
      const std::string what =
          describe_layer(*stage.layers()[index], stages.plan.recompute[at][index], stages.shape);
      auto line =
          std::find_if(lines.begin(), lines.end(), [&](const auto& known) { return known.first == what; });
      if (line == lines.end()) line = lines.insert(lines.end(), {what, {}});
      line->second.push_back(stage.name(index));
    }
  }
  std::string text;
  for (const auto& [what, names] : lines)
    text += fmt::format("  {} x {} .. {}: {}\n", names.size(), names.front(), names.back(), what);
  RankPlan everything = stages.plan;
  everything.recompute.clear();
  const ActivationBytes all = StageMemory::planned(stages.model, everything, stages.shape),
                        now = StageMemory::planned(stages.model, stages.plan, stages.shape);
  return text + fmt::format("  activations kept from forward to backward: {}; with those in work: {}\n",
                            share_text(now.kept, all.kept), share_text(now.total(), all.total()));
}

}  // namespace caravan::jobs
