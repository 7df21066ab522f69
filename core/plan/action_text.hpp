#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "caravan/schedule.hpp"

namespace caravan {

/// "F", "SEND_F", …
std::string_view name_of(ActionKind kind);

/// Of a short name, or of a long one of PyTorch ("FORWARD", "FULL_BACKWARD"); nothing when there is none.
std::optional<ActionKind> kind_of(std::string_view name);

/// F, I, W, B and R, and their messages; the others are about a whole stage.
bool has_microbatch(ActionKind kind);

/// What to_string() gives, without a string of its own: plans have millions of actions.
void append_text(std::string& text, const Action& action);
void append_text(std::string& text, const Step& step);

}  // namespace caravan
