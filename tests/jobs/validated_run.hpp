#pragma once

#include <string>

#include "tests/jobs/job_test.hpp"

namespace caravan::test {

/// A run of three steps that validated one whole pass at its end, with the text, tokenizer and shards that it
/// was trained on; made once a process and only looked at.
class ValidatedRun {
 public:
  static const ValidatedRun& get();

  std::string run() const { return folder_.file("run"); }
  std::string text() const { return folder_.file("text"); }
  std::string tokenizer() const { return folder_.file("tokenizer.json"); }
  std::string shards() const { return folder_.file("shards"); }
  /// What the run recorded after its last step.
  double validation_loss() const { return validation_loss_; }

 private:
  ValidatedRun();

  TemporaryFolder folder_;
  double validation_loss_ = 0;
};

}  // namespace caravan::test
