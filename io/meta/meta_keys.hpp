#pragma once

// What the reader and the writer of params.json share.
namespace caravan::io::meta {

/// Meta's code has it fixed; files of ours say it where it is another number.
inline constexpr const char* kOriginal = "rope_original_max_position_embeddings";
inline constexpr double kOriginalPositions = 8192;
inline constexpr double kFactor = 16;  ///< where params.json says none

}  // namespace caravan::io::meta
