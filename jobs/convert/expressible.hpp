#pragma once

#include "caravan/config.hpp"
#include "caravan/parameter.hpp"
#include "jobs/job/export_rule.hpp"

namespace caravan::jobs {

/// ConfigError where the format of a converted export has no place for a key of the model, so that a run
/// learns it before its first step. `model`: all keys, defaults filled in.
void check_expressible(const ExportRule& rule, const Config& model, const ParameterStore& whole_model);

}  // namespace caravan::jobs
