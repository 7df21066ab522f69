#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/comm.hpp"
#include "jobs/evaluate/options.hpp"
#include "jobs/train/loss_rounds.hpp"

namespace caravan::jobs {

/// What a model says of data.
struct Evaluation {
  struct Document {
    std::int64_t tokens = 0;  ///< its first one, which nothing predicts, too
    double loss = 0, predicted = 0, bytes = 0;
  };
  LossSums total;
  std::vector<Document> documents;  ///< in their order, where each is measured by itself
  std::int64_t sequences = 0, length = 0;
  std::int64_t left_out = 0;  ///< tokens that are in no sequence
  bool knows_bytes = false;
  double seconds = 0;  ///< of measuring, without reading weights
  std::string device, precision, layout;
};

/// [collective over world] The same on every rank. ConfigError, IoError and DeviceError before anything is
/// measured; NumericalError when the loss is not finite.
Evaluation evaluate(const EvaluateOptions& options, Communicator& world);

}  // namespace caravan::jobs
