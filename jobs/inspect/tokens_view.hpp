#pragma once

#include <string>

#include "jobs/drawing/terminal.hpp"
#include "jobs/inspect/options.hpp"
#include "jobs/inspect/report.hpp"

namespace caravan::jobs {

/// How many tokens and documents there are, and a stretch of them (`range` of the options, "BEGIN:END"; the
/// first 256 otherwise) as text, document by document, through the tokenizer beside them; as ids where there
/// is none.
Report tokens_view(const std::string& path, const InspectOptions& options, const TextStyle& style);

}  // namespace caravan::jobs
