#pragma once

#include <CLI/App.hpp>
#include <functional>

namespace caravan::jobs {

/// `caravan bench recompute`: memory and time of training steps under several rules of recomputation.
std::function<int()> declare_bench_recompute(CLI::App& app);

}  // namespace caravan::jobs
