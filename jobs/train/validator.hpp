#pragma once

#include "core/run/executor.hpp"
#include "jobs/train/setup.hpp"

namespace caravan::jobs {

/// Loss on data that is not trained on: no dropout, no counting, no gradients.
class Validator {
 public:
  /// `batches`: micro-batches of all data ranks together. Takes memory for one forward.
  explicit Validator(TrainSetup& setup);
  struct Result {
    double loss = 0;  ///< mean over valid tokens
    std::int64_t valid_tokens = 0;
  };
  /// [collective over the data ranks] The same samples every time.
  Result run();

 private:
  TrainSetup& setup_;
  Made<DataSource> source_;
  BatchReader reader_;
  Stash stash_;
  Executor executor_;
};

}  // namespace caravan::jobs
