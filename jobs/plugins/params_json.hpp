#pragma once

#include <nlohmann/json.hpp>

#include "caravan/schema.hpp"

namespace caravan::jobs {

/// A list with name, type, default, required, unit, range and doc of each parameter.
nlohmann::ordered_json params_json(ParamSchema schema);

}  // namespace caravan::jobs
