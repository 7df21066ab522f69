#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "caravan/box.hpp"
#include "jobs/train/training_steps.hpp"

namespace caravan::jobs {

/// What a rank has of one named part of a parameter, or all of it.
struct PartValues {
  std::string name;
  Shape whole;
  Box box;
  std::vector<float> values;
};

/// What steps of a job did on this rank.
struct StepsTaken {
  std::vector<StepResult> results;
  std::vector<std::vector<std::vector<float>>> expert_counts;  ///< [step][layer with experts here][expert]
  std::vector<PartValues> gradients;                           ///< of the first step
  std::map<std::string, std::vector<float>> buffers;           ///< at the end, by name
};

/// [collective over world] Trains in this process, without metrics and checkpoints. `prepare` sees the model
/// before the first step; may be empty.
StepsTaken take_steps(const Job& job, Communicator& world, int steps,
                      const std::function<void(ParameterStore&, Device&)>& prepare = {});

/// The largest over the parts of |a - b| / |whole b|, norms over elements; infinite where a part is unknown
/// or its shape is another.
double largest_difference(const std::vector<PartValues>& ours, const std::vector<PartValues>& whole);

/// The largest relative difference of losses, norms and balance losses.
double largest_difference(const std::vector<StepResult>& ours, const std::vector<StepResult>& alone);

/// [collective over world] Where batches have many tokens, two experts' scores may differ by less than
/// rounding. When such a choice of a single token goes the other way, what follows is another training: how
/// many steps came before it. Fails a test in which other choices differ, or one within three steps.
std::size_t steps_before_a_flip(const StepsTaken& ours, const StepsTaken& expected, Communicator& world);

}  // namespace caravan::jobs
