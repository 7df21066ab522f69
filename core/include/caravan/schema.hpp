#pragma once

#include <span>
#include <string>
#include <string_view>

#include "caravan/abi.h"
#include "caravan/config.hpp"

namespace caravan {

/// What a component or a section of a job accepts: a borrowed table of parameters (static storage of whoever
/// declares it).
using ParamSchema = std::span<const caravan_param>;

/// Checks `given` (a map or null) against `schema` and returns it with the defaults filled in, keys in schema
/// order. ConfigError: unknown key (with the nearest known one), missing required key, wrong type, out of
/// range, each with file:line and path. `owner` names what the keys belong to ("layer attention", "section
/// train").
Config validate(const Config& given, ParamSchema schema, std::string_view owner);

/// For a map of which some keys are `own`, and the rest is checked by whoever `others` is of, who does not
/// know those: ConfigError for a key that neither has and that is nearest to one of `own`.
void refuse_misspelled(const Config& given, ParamSchema own, ParamSchema others, std::string_view owner);

/// Whether the schema itself is sound: names, types, ranges, and defaults that pass their own type and range.
/// ConfigError naming the parameter otherwise.
void check_schema(ParamSchema schema, std::string_view owner);

/// The schema as a table for people: name, type, default, unit, range, sentence.
enum class TableStyle { plain, markdown };
std::string describe(ParamSchema schema, TableStyle style = TableStyle::plain);

}  // namespace caravan
