#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "caravan/config.hpp"

namespace caravan::jobs {

/// Texts that the model in training writes.
struct SampleRule {
  std::vector<std::string> prompts;
  std::int64_t max_new_tokens = 0;
  double temperature = 0;
  std::optional<std::int64_t> every;  ///< steps; none: with each validation

  bool is_wanted() const { return !prompts.empty(); }
};

/// Of `validation.samples`: null, or a map with its defaults; a list of prompts, or one, is short for
/// {prompts: […]}. ConfigError as `validate`, and for an empty prompt or too many.
Config resolve_samples(const Config& node);
SampleRule read_samples(const Config& resolved);

}  // namespace caravan::jobs
