#pragma once

#include <string>

namespace caravan::jobs {

/// Writes to standard output; on a terminal that the text does not fit, through $PAGER (less when unset),
/// which is started directly, not by a shell: its words are separated by spaces. IoError when standard
/// output cannot be written.
void page_standard_output(const std::string& text);

}  // namespace caravan::jobs
