#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace caravan::io {

/// Raised when a reader of the version before could misread what is written now.
inline constexpr std::int64_t kCheckpointFormat = 3;
/// Its pieces were rows of axis 0.
inline constexpr std::int64_t kOldestCheckpointFormat = 2;
inline constexpr const char* kCheckpointFile = "checkpoint.h5";
inline constexpr const char* kManifestFile = "manifest.json";

/// "step-00000100"
std::string step_folder(std::int64_t step);
/// The step of such a name; nothing for any other name, temporary folders among them.
std::optional<std::int64_t> step_of(std::string_view folder_name);

/// `<run>/checkpoints` when there is one, otherwise the folder itself: users name either.
std::string checkpoints_folder(const std::string& run_or_folder);

/// IoError unless `name` is "/model/…", "/optimizer/…", "/state/…" or "/other/…" of printable parts.
void check_object_name(const std::string& name);

}  // namespace caravan::io
