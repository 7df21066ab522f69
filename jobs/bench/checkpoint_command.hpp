#pragma once

#include <CLI/App.hpp>
#include <functional>

namespace caravan::jobs {

/// `caravan bench checkpoint`: writing and reading checkpoints against the disk, and what saving costs
/// training.
std::function<int()> declare_bench_checkpoint(CLI::App& app);

}  // namespace caravan::jobs
