#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "io/checkpoint/value.hpp"

namespace caravan::io {

/// {"/state/next_sample": {"int": 7}, "/state/best": {"float": "4.5"}, "/state/note": {"text": "…"}}. Floats
/// are text, because JSON knows neither inf nor nan.
nlohmann::json values_to_json(const std::map<std::string, CheckpointValue>& values);

/// IoError for another form, or for a name that no checkpoint has.
std::map<std::string, CheckpointValue> values_from(const nlohmann::json& object);

}  // namespace caravan::io
