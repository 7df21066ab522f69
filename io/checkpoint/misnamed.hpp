#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace caravan::io {

/// Why the folder that a step's name points to is not the checkpoint of that step, although nothing is
/// damaged: it is empty, or its manifest names another step (somebody renamed or copied it). Nothing for the
/// step's checkpoint, and for what cannot be told: whoever opens that finds the damage.
std::optional<std::string> misnamed(const std::string& path, std::int64_t step);
/// The same where the name says the step; nothing for a folder whose name is no step's.
std::optional<std::string> misnamed(const std::string& path);

}  // namespace caravan::io
