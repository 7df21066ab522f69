#pragma once

#include <string>
#include <string_view>

namespace caravan {

/// What a text may hold beside characters.
enum class TextKind {
  name,          ///< nothing: a line end is written as \u000a
  lines,         ///< line ends and tabs
  styled_lines,  ///< colours too (ESC [ digits m): a text that this program has coloured
};

/// Text from outside as a terminal or a log may show it. Control characters (C0, DEL, C1), the separators of
/// lines and paragraphs and what turns the direction of writing become \u001b, bytes that are no UTF-8 become
/// \xff; everything else, of any script, stays.
std::string printable(std::string_view text, TextKind kind = TextKind::name);

}  // namespace caravan
