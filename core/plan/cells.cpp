#include "core/plan/cells.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "core/plan/action_text.hpp"
#include "core/plan/for_each_action.hpp"
#include "core/plan/where.hpp"

namespace caravan {
namespace {

/// Named because a stage has fewer forwards than micro-batches.
[[noreturn]] void refuse_missing_forward(const Plan& plan, const Placement& placement,
                                         const std::vector<int>& forwards, int microbatches) {
  const auto stage = static_cast<int>(std::min_element(forwards.begin(), forwards.end()) - forwards.begin());
  std::vector<bool> there(static_cast<std::size_t>(microbatches));
  for_each_action(plan, [&](int, std::size_t, const Action& action) {
    if (action.stage == stage && action.kind == ActionKind::forward)
      there[static_cast<std::size_t>(action.microbatch)] = true;
  });
  const auto missing = static_cast<int>(std::find(there.begin(), there.end(), false) - there.begin());
  throw ConfigError(fmt::format(
      "rank {} lacks {}F{} (each of the {} stages does the forward of each of {} micro-batches once)",
      placement.rank_of[static_cast<std::size_t>(stage)], stage, missing, placement.stages(), microbatches));
}

}  // namespace

int microbatches_of(const Plan& plan) {
  int most = 0;
  for_each_action(plan, [&](int, std::size_t, const Action& action) {
    if (action.kind == ActionKind::forward) most = std::max(most, action.microbatch);
  });
  return most + 1;
}

Cells::Cells(const Plan& plan, const Placement& placement, int microbatches)
    : stages_(placement.stages()),
      microbatches_(microbatches),
      size_(static_cast<std::size_t>(stages_) * static_cast<std::size_t>(microbatches)) {
  std::vector<int> forwards(static_cast<std::size_t>(stages_));
  std::size_t all_forwards = 0;
  for_each_action(plan, [&](int rank, std::size_t i, const Action& action) {
    const bool is_stage = action.stage >= 0 && action.stage < stages_;
    CARAVAN_CHECK(
        is_stage && placement.rank_of[static_cast<std::size_t>(action.stage)] == rank, ConfigError,
        fmt::format("{}: the forwards of stage {} are not on this rank (a stage stands on one rank)",
                    place_text(plan, rank, i), action.stage));
    const bool is_in_range = has_microbatch(action.kind)
                                 ? action.microbatch >= 0 && action.microbatch < microbatches
                                 : action.microbatch == kNoMicrobatch;
    CARAVAN_CHECK(is_in_range, ConfigError,
                  fmt::format("{}: micro-batch {} (there are {}, counted from 0)", place_text(plan, rank, i),
                              action.microbatch, microbatches));
    if (action.kind != ActionKind::forward) return;
    ++all_forwards;
    ++forwards[static_cast<std::size_t>(action.stage)];
  });
  if (all_forwards < size_) refuse_missing_forward(plan, placement, forwards, microbatches);
}

}  // namespace caravan
