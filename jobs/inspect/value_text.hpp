#pragma once

#include <string>

#include "io/checkpoint/writer.hpp"

namespace caravan::jobs {

/// A number or text of a checkpoint as it stands there; not yet printable.
std::string value_text(const io::CheckpointValue& value);

}  // namespace caravan::jobs
