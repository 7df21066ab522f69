#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace caravan::jobs {

/// caravan bench pipeline
std::function<int()> declare_bench_pipeline(CLI::App& app);

}  // namespace caravan::jobs
