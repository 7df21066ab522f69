#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace caravan::jobs {

/// Nodes with at least `least` lines in <run>/failed-nodes.txt, by name. Lines that do not name a node as
/// Slurm does are passed over; without the file there are none.
std::vector<std::string> failing_nodes(const std::string& run, std::int64_t least);

}  // namespace caravan::jobs
