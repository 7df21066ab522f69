#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/config.hpp"
#include "core/plan/lower.hpp"

namespace caravan::jobs {

/// Name of a layer's input among the sections that a rule keeps.
inline constexpr const char* kInputSection = "input";

/// What a job says about `train.recompute`.
struct RecomputeRule {
  enum class Kind {
    none,
    every,   ///< of `every` layers the first one's input is kept, and `keeps`
    budget,  ///< the same for single layers, with as many sections as the budget holds
    stage,   ///< R of whole stages
  };
  Kind kind = Kind::none;
  std::int64_t every = 1;
  std::vector<std::string> keeps{};
  double budget = 0;  ///< of activations: up to 1 a share of what they take with none, above it bytes

  Recomputation of_stages() const { return kind == Kind::stage ? Recomputation::stage : Recomputation::none; }
};

/// What `selective` keeps unless told: matrix products with wide results, attention, routing, and inputs.
/// What it repeats costs little for its size: norms, activations of feed-forwards, rows put in the order of
/// their experts, and the projection to queries, keys and values.
const std::vector<std::string>& usually_kept();

/// From a word or a map of one key. ConfigError with file, line and path.
RecomputeRule read_recompute(const Config& node);
/// A rule as one writes it on a command line, in the words of a job file: "full" stays, "every=2" becomes
/// {every: 2}, and "selective=attention+qkv" {selective: [attention, qkv]}.
std::string recompute_yaml(const std::string& text);

}  // namespace caravan::jobs
