#pragma once

#include <cstdint>
#include <string>
#include <variant>

namespace caravan::io {

/// A number or text of a checkpoint that is no tensor.
using CheckpointValue = std::variant<std::int64_t, double, std::string>;

}  // namespace caravan::io
