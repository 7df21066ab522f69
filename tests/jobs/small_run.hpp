#pragma once

#include <string>

#include "tests/jobs/job_test.hpp"

namespace caravan::test {

/// A run of two steps of the mini job, an input for its model, a text, and a tokenizer learned from it; made
/// once a process and only looked at.
class SmallRun {
 public:
  static const SmallRun& get();

  std::string run() const { return folder_.file("run"); }
  std::string inputs() const { return folder_.file("inputs.safetensors"); }
  std::string text() const { return folder_.file("text"); }
  std::string tokenizer() const { return folder_.file("tokenizer.json"); }
  std::string job() const { return folder_.file("job.yaml"); }
  std::string schedule() const { return folder_.file("plan.csv"); }

 private:
  SmallRun();

  TemporaryFolder folder_;
};

}  // namespace caravan::test
