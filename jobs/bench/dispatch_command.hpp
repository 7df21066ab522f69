#pragma once

#include <CLI/App.hpp>
#include <functional>

namespace caravan::jobs {

/// `caravan bench dispatch`: rows to experts on other ranks and back, beside the rate of the link.
std::function<int()> declare_bench_dispatch(CLI::App& app);

}  // namespace caravan::jobs
