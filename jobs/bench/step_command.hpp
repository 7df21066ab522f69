#pragma once

#include <CLI/App.hpp>
#include <functional>

namespace caravan::jobs {

/// `caravan bench step`: whole training steps of a preset against the peak of the machine.
std::function<int()> declare_bench_step(CLI::App& app);

}  // namespace caravan::jobs
