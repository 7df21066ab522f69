#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "io/checkpoint/verify.hpp"

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

/// How often a reader looks again when the checkpoint that it found was pruned by its run meanwhile.
inline constexpr int kMostLooks = 8;

/// The newest checkpoint of a run (or of its folder of checkpoints) that is the step's which its name says
/// and of which all that `check` says verifies. Temporary folders are ignored. IoError when the run prunes
/// faster than it can be read.
Latest find_latest(const std::string& run_or_folder, Check check = Check::everything);

struct Pruned {
  std::vector<std::string> removed;
  std::vector<Skipped> problems;  ///< what could not be verified or removed, or is not what its name says
};

struct Keep {
  std::int64_t latest = 1;  ///< newest, at least 1
  std::int64_t every = 0;   ///< also those whose step this divides; 0: none
};
/// After the checkpoint of step `committed` was put in place: removes all others of earlier steps, but
/// nothing before the committed one has verified. A folder that is empty or holds another step than its name
/// says is a problem, and neither counted nor removed. Later steps are of a run that went on from an earlier
/// one: it will come to them.
Pruned prune(const std::string& run_or_folder, const Keep& keep, std::int64_t committed);

/// The folders that are named as steps, newest first, unverified; see `misnamed`.
std::vector<std::string> newest_first(const std::string& run_or_folder);

/// Steps that have a folder, ascending.
std::vector<std::int64_t> list_steps(const std::string& run_or_folder);

}  // namespace caravan::io
