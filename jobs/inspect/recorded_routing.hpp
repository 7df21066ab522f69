#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace caravan::jobs {

/// Tokens an expert by layer ("layers.1.moe") and expert, whatever numbers a file has for both.
using ExpertCounts = std::map<std::string, std::map<std::size_t, double>>;

/// Rows of tokens between ranks that divide experts, of all layers in a step, as routers chose.
struct RankRows {
  double received_most = 0;  ///< by the rank that received most
  double sent = 0;           ///< by that rank, those to itself included
  double imbalance = 0;      ///< the one by the other, 1 when routing is even
};

/// Choices beyond the capacity of experts, of all layers in a step.
struct DroppedRows {
  double rows = 0;
  double share = 0;  ///< of all choices
};

/// What a run's metrics.jsonl tells of the experts in one step.
struct RecordedRouting {
  ExpertCounts counts;                 ///< empty unless metrics.expert_counts is set
  std::optional<RankRows> rank_rows;   ///< where ranks divide experts
  std::optional<DroppedRows> dropped;  ///< where experts have a capacity
};

/// That of `step`; nothing when the file or the step is not there; a line that is damaged counts as not
/// there.
std::optional<RecordedRouting> read_routing(const std::string& metrics_file, std::int64_t step);

}  // namespace caravan::jobs
