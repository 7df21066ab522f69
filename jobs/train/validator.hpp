#pragma once

#include "caravan/error.hpp"
#include "jobs/train/setup.hpp"
#include "jobs/train/stage_memory.hpp"

namespace caravan::jobs {

/// The data that a validation reads: the job's, with its differences. IoError.
Made<DataSource> open_validation_data(TrainSetup& setup);

/// The loss of validation left the numbers while training goes on.
class ValidationError final : public NumericalError {
 public:
  using NumericalError::NumericalError;
  ExitCode exit_code() const noexcept override { return ExitCode::validation; }
};

/// Loss on data that is not trained on: no dropout, no counting, no gradients.
class Validator {
 public:
  /// Takes memory for one forward. ConfigError as `validation_batches`.
  explicit Validator(TrainSetup& setup);
  struct Result {
    double loss = 0;  ///< mean over valid tokens
    std::int64_t valid_tokens = 0;
  };
  /// [collective over data and pipeline ranks] The same samples every time. ValidationError when the loss is
  /// not finite.
  Result run();
  const DataSource& source() const noexcept { return *source_; }

 private:
  TrainSetup& setup_;
  Made<DataSource> source_;
  std::int64_t batches_;  ///< of all data ranks together
  BatchReader reader_;
  StageMemory memory_;
  Executor executor_;
};

}  // namespace caravan::jobs
