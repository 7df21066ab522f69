#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/run/whereabouts.hpp"
#include "jobs/state/rank_state.hpp"

namespace caravan::io {
class CheckpointReader;
}

namespace caravan::jobs {

struct Job;

/// How far a run has come.
struct Progress {
  std::int64_t step = 0;         ///< optimizer steps done
  std::int64_t tokens_seen = 0;  ///< over all ranks
  std::int64_t next_sample = 0;  ///< global data cursor
  /// A signal cut the validation of this step: whoever goes on from here makes it up first.
  bool owes_validation = false;

  static constexpr const char* kNextSample = "/state/next_sample";
  static constexpr const char* kOwesValidation = "/state/owes_validation";  ///< 1, or absent
};

/// True, and said, of a folder that has a step's name and is not its checkpoint (io::misnamed).
bool is_ignored(const std::string& checkpoint);
/// ConfigError where `output` holds checkpoints that the run is not to continue: it would replace some steps
/// of the former run and keep others, and pruning would take the new for the old.
void refuse_to_mix(const std::string& output);
/// ConfigError where the job asks for a seed, the checkpoint of step 0, and its run is at another step.
void check_seed(const Job& job, std::int64_t step);
/// ConfigError where the job would leave something out of weights that a new run starts from: that is for
/// resuming alone.
void check_whole_load(const Job& job);
/// IoError naming what does not fit the job's model, of which `whole_model` has all layers, or its optimizer,
/// whose slots these are; ConfigError for a glob of checkpoint.exclude_from_loading that fits nothing, or
/// only some parts of a parameter.
void check_fits(const io::CheckpointReader& reader, const Job& job, const ParameterStore& whole_model,
                const std::vector<std::string>& slots);
/// Reads what this rank holds, whatever layout wrote it. IoError naming what is damaged.
Progress load_state(const io::CheckpointReader& reader, const Job& job, const RankState& state,
                    Whereabouts& whereabouts);

/// Weights and state buffers alone, of the model that was saved, which `stored` declares: `parameters` may
/// leave some out.
void load_weights(const io::CheckpointReader& reader, Device& device, ParameterStore& parameters,
                  const ParameterStore& stored);

}  // namespace caravan::jobs
