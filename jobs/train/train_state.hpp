#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/parameter.hpp"

namespace caravan::io {
class CheckpointReader;
}

namespace caravan::jobs {

/// How far a run has come.
struct Progress {
  std::int64_t step = 0;         ///< optimizer steps done
  std::int64_t tokens_seen = 0;  ///< over all ranks
  std::int64_t next_sample = 0;  ///< global data cursor
};

/// What a checkpoint carries beside the tensors.
struct Provenance {
  std::string job_yaml, layout;
};

/// Writes parameters, optimizer slots, state buffers and progress under `<run>/checkpoints`. One rank calls.
/// Host memory. IoError leaves older checkpoints as they were.
std::string save_state(const std::string& run, const Progress& progress, const ParameterStore& parameters,
                       const std::vector<std::string>& slot_names, const Provenance& provenance);

/// Reads what save_state wrote into an allocated store; IoError names what does not fit this model.
Progress load_state(const io::CheckpointReader& reader, ParameterStore& parameters,
                    const std::vector<std::string>& slot_names);

/// Weights and state buffers alone.
void load_weights(const io::CheckpointReader& reader, ParameterStore& parameters);

}  // namespace caravan::jobs
