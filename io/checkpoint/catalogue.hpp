#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace caravan::io {

/// A checkpoint that was passed over, and the reason for a log line.
struct Skipped {
  std::string path;
  std::string why;
};

struct Latest {
  std::optional<std::string> path;  ///< of the step's folder; nothing when no checkpoint verifies
  std::int64_t step = 0;
  std::vector<Skipped> skipped;
};

/// The newest checkpoint of a run (or of its folder of checkpoints) whose every byte verifies. Temporary
/// folders are ignored.
Latest find_latest(const std::string& run_or_folder);

struct Pruned {
  std::vector<std::string> removed;
  std::vector<Skipped> problems;  ///< what could not be verified or removed
};

struct Keep {
  std::int64_t latest = 1;  ///< newest, at least 1
  std::int64_t every = 0;   ///< also those whose step this divides; 0: none
};
/// Removes all others, but nothing before the newest has verified.
Pruned prune(const std::string& run_or_folder, const Keep& keep);

/// The folders of all checkpoints that have one, newest first, unverified.
std::vector<std::string> newest_first(const std::string& run_or_folder);

/// Steps that have a folder, ascending.
std::vector<std::int64_t> list_steps(const std::string& run_or_folder);

}  // namespace caravan::io
