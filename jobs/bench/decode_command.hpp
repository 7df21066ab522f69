#pragma once

#include <CLI/App.hpp>
#include <functional>

namespace caravan::jobs {

/// `caravan bench decode`: tokens a second against what reading the weights and the cache allows.
std::function<int()> declare_bench_decode(CLI::App& app);

}  // namespace caravan::jobs
