#pragma once

#include <CLI/App.hpp>
#include <vector>

namespace caravan::jobs {

/// The subcommands within one, in their order.
inline std::vector<const CLI::App*> verbs_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

}  // namespace caravan::jobs
