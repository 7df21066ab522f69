#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "caravan/error.hpp"
#include "core/run/whereabouts.hpp"
#include "jobs/plan/train_setup.hpp"
#include "jobs/train/loss_rounds.hpp"

namespace caravan::jobs {

/// The loss of validation left the numbers while training goes on.
class ValidationError final : public NumericalError {
 public:
  using NumericalError::NumericalError;
  ExitCode exit_code() const noexcept override { return ExitCode::validation; }
};

/// Loss on data that is not trained on: no dropout, no counting, no gradients.
class Validator {
 public:
  /// Takes memory for one forward. Tells `whereabouts` every action, so that whoever watches sees progress.
  /// ConfigError as `validation_batches`.
  Validator(TrainSetup& setup, Whereabouts& whereabouts);
  struct Result {
    double loss = 0;  ///< mean over valid tokens
    std::int64_t valid_tokens = 0;
  };
  /// [every rank] The same samples every time. Between two rounds (a micro-batch of every data rank, or with
  /// pipelines as many as the pipeline has ranks) all ranks ask `is_over`, which must give the same on all;
  /// nothing when it is. ValidationError when the loss is not finite.
  std::optional<Result> run(const std::function<bool()>& is_over);
  const DataSource& source() const noexcept { return *source_; }

 private:
  Result result();

  TrainSetup& setup_;
  Whereabouts& whereabouts_;
  Made<DataSource> source_;
  std::int64_t batches_;  ///< of all data ranks together
  LossRounds rounds_;
};

}  // namespace caravan::jobs
