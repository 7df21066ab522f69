#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "caravan/config.hpp"

namespace caravan::jobs {

/// What a job says about `checkpoint.from`: the other run that it branches off.
struct ForkRule {
  std::string run;                   ///< its folder, or one of its checkpoints; empty: none
  std::optional<std::int64_t> step;  ///< nothing: the newest that verifies
  bool model_alone = false;          ///< what: model

  bool is_given() const { return !run.empty(); }
};

/// checkpoint.from of the checkpoint section as a map with every key, whether it was a path or a map; null
/// where it is not given. ConfigError with file, line and path.
Config resolve_fork(const Config& node);
/// Of what resolve_fork made.
ForkRule read_fork(const Config& resolved);

}  // namespace caravan::jobs
