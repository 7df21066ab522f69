#pragma once

#include <CLI/App.hpp>
#include <functional>

namespace caravan::jobs {

/// `caravan bench ops`: every operator of a device against what the machine can do.
std::function<int()> declare_bench_ops(CLI::App& app);

}  // namespace caravan::jobs
