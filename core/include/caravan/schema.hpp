#pragma once

#include <span>
#include <string>
#include <string_view>

#include "caravan/abi.h"
#include "caravan/config.hpp"

namespace caravan {

/// What a component or a section of a job accepts: a borrowed table of parameters (static storage of whoever declares it).
using ParamSchema = std::span<const caravan_param>;

/// Checks `given` (a map or null) against `schema` and returns it with the defaults filled in, keys in schema order.
/// ConfigError: unknown key (with the nearest known one), missing required key, wrong type, out of range, each with
/// file:line and path. `owner` names what the keys belong to ("layer attention", "section train").
Config validate(const Config& given, ParamSchema schema, std::string_view owner);

/// The schema as a table for people: name, type, default, unit, range, sentence. `markdown` makes a Markdown table.
std::string describe(ParamSchema schema, bool markdown = false);

}  // namespace caravan
