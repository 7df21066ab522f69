#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace caravan::jobs {

/// Tokens an expert by layer ("layers.1.moe"), as a run's metrics.jsonl has them when metrics.expert_counts
/// is set.
using ExpertCounts = std::map<std::string, std::vector<double>>;

/// Those of `step`; nothing when the file or the step is not there, an empty map when the step has none.
/// Reads line by line; a line that is damaged or above 16 MB counts as not there.
std::optional<ExpertCounts> read_expert_counts(const std::string& metrics_file, std::int64_t step);

}  // namespace caravan::jobs
