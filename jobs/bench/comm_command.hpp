#pragma once

#include <CLI/App.hpp>
#include <functional>

namespace caravan::jobs {

/// `caravan bench comm`: exchanges of tensors among ranks, beside what a plain copy moves.
std::function<int()> declare_bench_comm(CLI::App& app);

}  // namespace caravan::jobs
