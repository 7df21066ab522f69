#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/io/temporary_folder.hpp"
#include "tests/jobs/run_program.hpp"

namespace caravan::test {

/// Starts the executable in a folder of its own, for one test.
class JobTest : public ::testing::Test {
 protected:
  void SetUp() override;

  /// Writes `yaml` as the job file and gives its path.
  std::string job(const std::string& yaml, const std::string& name = "job.yaml") const;
  /// caravan train JOB output=<folder>/<run> overrides…
  Command train(const std::string& job_file, const std::string& run, int ranks,
                const std::vector<std::string>& overrides = {}) const;
  Outcome run(const Command& command) const { return run_program(command, folder_.path()); }
  /// Without a launcher.
  Outcome caravan(const std::vector<std::string>& arguments) const { return run({arguments, 0, {}, 60}); }
  std::string file(const std::string& name) const { return folder_.file(name); }

  TemporaryFolder folder_;
};

/// A model of 52,512 parameters with experts, on synthetic tokens: a step takes half a millisecond.
extern const char* const kMiniJob;

/// The lines of <run>/metrics.jsonl.
std::vector<nlohmann::json> read_metrics(const std::string& run);
/// One number of every step, in order; NaN where the step lacks it.
std::vector<double> series(const std::vector<nlohmann::json>& metrics, const std::string& key);
/// The largest |a - b| / |b|; infinite when the lengths differ or a value is no number.
double largest_relative_difference(const std::vector<double>& a, const std::vector<double>& b);

/// |a - b| / |b|, norms over all elements; infinite when the sizes differ.
double norm_of_difference(const std::vector<float>& a, const std::vector<float>& b);

/// A driver for NVIDIA GPUs is loaded.
bool has_gpu();

/// Succeeds when the program ended by itself with this code.
::testing::AssertionResult ended_with(const Outcome& outcome, int code);

}  // namespace caravan::test
