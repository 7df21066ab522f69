#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/run/whereabouts.hpp"
#include "jobs/plan/samples.hpp"

namespace caravan::jobs {

/// What the model in training made of a prompt.
struct SampleText {
  std::string prompt, text, reason;
  std::int64_t tokens = 0;
};

/// Texts of the model in training, by the job's validation.samples: every rank decodes the same tokens with
/// the weights that it trains, which are gathered where ranks divide them. Nothing of the training changes.
class Sampler {
 public:
  /// After the model is allocated. Takes the memory of `plan_samples`. ConfigError as `sample_prompts`.
  Sampler(TrainSetup& setup, const DataIdentity& data, Whereabouts& whereabouts);
  /// [every rank] The texts of all prompts, in their order; the same draws every time. Before each step all
  /// ranks ask `is_over`, which must give the same on all; nothing when it is. NumericalError where logits
  /// are not finite.
  std::optional<std::vector<SampleText>> write(const std::function<bool()>& is_over);

 private:
  DecodePlan plan() const;

  TrainSetup& setup_;
  Whereabouts& whereabouts_;
  SamplePrompts prompts_;
  DecodePlan plan_;
  Decoder decoder_;
};

}  // namespace caravan::jobs
