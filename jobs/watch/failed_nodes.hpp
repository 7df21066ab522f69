#pragma once

#include <string>

namespace caravan::jobs {

/// Adds a line to <run>/failed-nodes.txt, which the batch script counts before it uses a node again: time,
/// node, what happened. A disk that refuses is said in the log: the failure itself matters more.
void note_failed_node(const std::string& run, const std::string& node, const std::string& what);

}  // namespace caravan::jobs
