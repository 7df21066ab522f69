#include "core/plan/check_plan.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdint>

#include "caravan/check.hpp"
#include "core/plan/dry_run.hpp"

namespace caravan {
namespace {

// What has been done for a cell, as bits.
constexpr std::uint8_t kForward = 1, kInput = 2, kWeight = 4, kBoth = 8, kRecomputed = 16;

/// What an action does to its cell, and when it may.
struct Rule {
  std::uint8_t sets = 0, needs = 0, refuses = 0;
  const char* why = "";
};

Rule rule_of(ActionKind kind) {
  switch (kind) {
    case ActionKind::forward:
      return {kForward, 0, 0, ""};
    case ActionKind::recompute:
      return {kRecomputed, kForward, kInput | kBoth, "it comes after the forward and before the backward"};
    case ActionKind::backward_input:
      return {kInput, kForward, kBoth, "it comes after the forward, and there is no B beside I and W"};
    case ActionKind::backward_weight:
      return {kWeight, kInput, kBoth, "it comes after I, and there is no W after B"};
    case ActionKind::backward:
      return {kBoth, kForward, kInput | kWeight,
              "it comes after the forward, and there is no B beside I and W"};
    default:
      return {};
  }
}

/// Checks the order in each row by itself.
class Order {
 public:
  Order(const Plan& plan, const Cells& cells)
      : plan_(plan), cells_(cells), done_(cells.size()), stages_(static_cast<std::size_t>(cells.stages())) {}

  void check_step(int rank, std::size_t i) {
    rank_ = rank;
    step_ = i;
    const Step& step = plan_.steps[static_cast<std::size_t>(rank)][i];
    check_action(step.action);
    if (step.overlapped) {
      check_pair(step);
      check_action(*step.overlapped);
      mark(*step.overlapped);
    }
    mark(step.action);
  }

  /// Forwards are complete: there are as many as cells, and none is doubled.
  void check_backwards(const Placement& placement) const {
    for (int stage = 0; stage < cells_.stages(); ++stage) {
      if (stages_[static_cast<std::size_t>(stage)].backwards == cells_.microbatches()) continue;
      for (int microbatch = 0; microbatch < cells_.microbatches(); ++microbatch)
        check_cell(stage, microbatch, placement.rank_of[static_cast<std::size_t>(stage)]);
    }
  }

 private:
  struct Stage {
    int backwards = 0;
    bool is_reduced = false;
  };

  [[noreturn]] void refuse(const std::string& why) const {
    throw ConfigError(fmt::format("{}: {}", place_text(plan_, rank_, step_), why));
  }

  void check_action(const Action& action) const {
    if (action.kind == ActionKind::reduce_gradients) return check_reduction(action);
    const Rule rule = rule_of(action.kind);
    if (rule.sets == 0) return;
    const std::uint8_t done = done_[cells_.at(action.stage, action.microbatch)];
    if ((done & rule.sets) != 0) refuse(fmt::format("{} is done twice", to_string(action)));
    if ((done & rule.needs) != rule.needs || (done & rule.refuses) != 0)
      refuse(fmt::format("{} is out of order ({})", to_string(action), rule.why));
  }

  void check_reduction(const Action& action) const {
    const Stage& stage = stages_[static_cast<std::size_t>(action.stage)];
    if (stage.is_reduced) refuse(fmt::format("{} is done twice", to_string(action)));
    if (stage.backwards != cells_.microbatches())
      refuse(fmt::format("{} of {} micro-batches have their gradients (it comes after the last)",
                         stage.backwards, cells_.microbatches()));
  }

  void check_pair(const Step& step) const {
    const bool is_pair = (step.action.kind == ActionKind::forward && makes_gradient(*step.overlapped)) ||
                         (step.overlapped->kind == ActionKind::forward && makes_gradient(step.action));
    if (!is_pair) refuse("a forward and a backward overlap, nothing else");
  }

  void mark(const Action& action) {
    Stage& stage = stages_[static_cast<std::size_t>(action.stage)];
    if (action.kind == ActionKind::reduce_gradients) stage.is_reduced = true;
    if (action.kind == ActionKind::backward || action.kind == ActionKind::backward_weight) ++stage.backwards;
    const std::uint8_t bit = rule_of(action.kind).sets;
    if (bit != 0) done_[cells_.at(action.stage, action.microbatch)] |= bit;
  }

  void check_cell(int stage, int microbatch, int rank) const {
    const std::uint8_t done = done_[cells_.at(stage, microbatch)];
    const bool has_input = (done & kInput) != 0;
    CARAVAN_CHECK(
        (done & (kBoth | kWeight)) != 0, ConfigError,
        fmt::format("rank {} lacks {}{}{} (each stage does B, or I and W, of each of {} micro-batches)", rank,
                    stage, has_input ? 'W' : 'B', microbatch, cells_.microbatches()));
  }

  const Plan& plan_;
  const Cells& cells_;
  std::vector<std::uint8_t> done_;
  std::vector<Stage> stages_;
  int rank_ = 0;
  std::size_t step_ = 0;
};

void check_ranks(const Plan& plan) {
  CARAVAN_CHECK(plan.ranks() > 0, ConfigError, "the plan has no ranks");
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    CARAVAN_CHECK(
        !plan.steps[static_cast<std::size_t>(rank)].empty(), ConfigError,
        fmt::format("rank {} has nothing to do (each of the {} ranks holds a stage)", rank, plan.ranks()));
  }
}

}  // namespace

Placement check(const Plan& plan, int microbatches) {
  CARAVAN_CHECK(microbatches > 0, ConfigError, fmt::format("{} micro-batches (at least 1)", microbatches));
  check_ranks(plan);
  Placement placement = placement_of(plan);
  const Cells cells(plan, placement, microbatches);
  Order order(plan, cells);
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    for (std::size_t i = 0; i < plan.steps[static_cast<std::size_t>(rank)].size(); ++i)
      order.check_step(rank, i);
  }
  order.check_backwards(placement);
  DryRun(plan, placement, cells).run([](int, std::size_t) {});
  return placement;
}

}  // namespace caravan
