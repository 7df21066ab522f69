#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <string>

namespace caravan::jobs {

/// One verb of the executable; one file in jobs/commands each. `declare` adds the options to `app` and
/// returns what runs after parsing; that gives the exit code, or throws caravan::Error, which main prints.
struct Command {
  const char* name;
  const char* summary;
  std::function<int()> (*declare)(CLI::App& app);
  bool runs_on_ranks = false;  ///< of mpirun or srun; others would do the same many times at once
};

/// ConfigError where mpirun or srun started several ranks, for `what`: the work of one process.
void refuse_ranks(const std::string& what);

}  // namespace caravan::jobs
