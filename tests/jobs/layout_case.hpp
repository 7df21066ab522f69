#pragma once

#include <string>
#include <vector>

#include "jobs/job/job.hpp"

namespace caravan::jobs {

using Keys = std::vector<std::string>;

/// What a test of layouts compares with one rank: which ranks do what.
struct LayoutCase {
  int tensor = 1, context = 1, shards = 1, expert = 1, pipeline = 1;
  std::string schedule = "1f1b";
  Keys keys{};

  /// Of one data replica of all stages.
  int ranks() const { return tensor * context * shards * pipeline; }
  std::string text() const;
};

/// A choice of one value of every factor.
struct ModelCase {
  Keys keys;
  std::string text() const;
};

/// Every choice of one value of each factor.
std::vector<ModelCase> all_models(const std::vector<std::vector<Keys>>& factors);

/// A small Llama 4 of the test's device on `ranks` ranks, which are several replicas of the layout; a step
/// has as many sequences as all of them want.
Job job_of(const LayoutCase& layout, const ModelCase& model, int ranks, int sequences);

}  // namespace caravan::jobs
