#pragma once

#include <string>

#include "jobs/plot/picture.hpp"

namespace caravan::jobs {

/// What is drawn as a table (RFC 4180): run, step, and a column a curve by its key in metrics.jsonl. A value
/// that was not recorded in a step is empty, one that is a gap is nan.
std::string draw_csv(const Picture& picture);

}  // namespace caravan::jobs
