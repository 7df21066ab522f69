#pragma once

#include <string>

#include "caravan/printable.hpp"

namespace caravan::jobs {

/// Writes to standard output; on a terminal that the text does not fit, through $PAGER (less when unset),
/// which is started directly, not by a shell: its words are separated by spaces. On a terminal it
/// comes out printable. IoError when standard output cannot be written.
void page_standard_output(const std::string& text, TextKind kind = TextKind::styled_lines);

}  // namespace caravan::jobs
