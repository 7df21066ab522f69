#pragma once

#include <string>

#include "jobs/plan/train_setup.hpp"

namespace caravan::jobs {

/// What another program needs to time the same step: a JSON object of the model's layers with all their keys,
/// the length of sequences, the sequences of a step of all ranks, and the optimizer.
std::string peer_description(TrainSetup& setup);

/// Writes it to `file`; returns the command that docs/peers has for it, for as many threads as the
/// ranks together have. IoError when it cannot be written.
std::string write_peer(TrainSetup& setup, const std::string& file, int threads);

}  // namespace caravan::jobs
