#pragma once

#include <string>
#include <vector>

#include "io/files/pending_folder.hpp"

namespace caravan::io {

/// What becomes of a folder that has the final name already.
enum class Former { replaced, refused };

/// The commit protocol: a folder that is filled under a temporary name beside its final one and appears whole
/// by one rename. Without a commit the destructor removes it.
class StagingFolder {
 public:
  /// Makes `parent` when needed, and `parent`/`name`.tmp-<host>-<random>.
  StagingFolder(const std::string& parent, const std::string& name, Former former = Former::replaced);

  const std::string& path() const noexcept { return folder_.path(); }
  /// [once] Synchronises the folder, renames, synchronises the parent. A complete folder of the final name (a
  /// step that is written again) is exchanged in one step and removed after. The files inside must be
  /// synchronised already. Returns the final path. IoError where something stands at the final name and is
  /// not to be replaced.
  std::string commit();

 private:
  std::string parent_;
  std::string final_;
  Former former_;
  PendingFolder folder_;
};

/// Removes a complete folder so that it is never seen half removed: renamed first, then deleted.
void remove_committed(const std::string& parent, const std::string& name);

/// Removes temporary folders of steps that no living writer holds, see remove_abandoned. Returns what was
/// removed.
std::vector<std::string> remove_stale(const std::string& parent);

}  // namespace caravan::io
