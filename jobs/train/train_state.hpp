#pragma once

#include <cstdint>
#include <string>

#include "caravan/parameter.hpp"

namespace caravan::io {
class CheckpointReader;
}

namespace caravan::jobs {

class PipelinePeers;
class TrainSetup;

/// How far a run has come.
struct Progress {
  std::int64_t step = 0;         ///< optimizer steps done
  std::int64_t tokens_seen = 0;  ///< over all ranks
  std::int64_t next_sample = 0;  ///< global data cursor
};

/// [collective over the pipeline; its first rank writes] Writes parameters, optimizer slots, state buffers
/// and progress under `<run>/checkpoints`. IoError, on the first rank, leaves older checkpoints as they were.
std::string save_state(const std::string& run, const Progress& progress, TrainSetup& setup,
                       PipelinePeers& peers);

/// Reads this rank's share of what save_state wrote; IoError names what does not fit the job's model.
Progress load_state(const io::CheckpointReader& reader, TrainSetup& setup);

/// Weights and state buffers alone.
void load_weights(const io::CheckpointReader& reader, ParameterStore& parameters);

}  // namespace caravan::jobs
