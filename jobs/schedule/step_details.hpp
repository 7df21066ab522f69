#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "caravan/device.hpp"
#include "caravan/schedule.hpp"
#include "core/plan/simulate.hpp"

namespace caravan::jobs {

/// What a rank did within and beside the actions of a measured step.
struct StepDetails {
  struct Item {
    ActionKind kind = ActionKind::forward;  ///< F, R, I or W; UNSHARD or REDUCE_GRAD
    std::string name;                       ///< of a segment, or "gather of layers.3"
    std::string layer;                      ///< of a segment
    Span span;
    Lane lane = Lane::compute;  ///< shard: of parameters or their gradients; others: of rows
    /// "dispatch of layers.1"
    std::string title() const { return layer.empty() ? name : name + " of " + layer; }
  };
  std::vector<Item> visits;     ///< of layers' segments, one after the other
  std::vector<Item> exchanges;  ///< by their begin; several may be under way
};

/// For each of `items`, by their begin, the first row that is free when it begins.
std::vector<std::size_t> rows_of(const std::vector<StepDetails::Item>& items);

}  // namespace caravan::jobs
