#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "jobs/bench/synthetic_training.hpp"

namespace caravan::jobs {

/// The model that a benchmark trains on random tokens.
struct ModelOptions {
  std::string preset = "debugmodel";
  std::vector<std::string> overrides;

  /// The model section of a job file.
  Config section() const;
};

/// --preset and the overrides. Returns the latter's option.
CLI::Option* declare_model(CLI::App& app, ModelOptions& options, const std::string& example);

/// --sequence, --batch and --microbatches, which are `of`: "a step on a rank".
void declare_batches(CLI::App& app, SyntheticJob& job, const std::string& of);

}  // namespace caravan::jobs
