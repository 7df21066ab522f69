#pragma once

#include <string>

#include "caravan/optimizer.hpp"
#include "jobs/plan/pipeline_setup.hpp"

namespace caravan::jobs {

/// ConfigError where the optimizer clips logits and there are none that it could, or where nobody would see
/// all that weights make.
void check_clip(const Optimizer& optimizer, const ParameterStore& whole_model,
                const std::vector<SharedParameter>& shared);
/// Which layers' logits are clipped, a line, or nothing.
std::string describe_clip(const Optimizer& optimizer, const ParameterStore& whole_model);

}  // namespace caravan::jobs
