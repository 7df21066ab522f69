#pragma once

#include <string>
#include <vector>

#include "io/files/file.hpp"

namespace caravan::io {

/// The commit protocol: a folder that is filled under a temporary name beside its final one and appears whole
/// by one rename. The temporary name holds the host, and the folder is locked while its writer lives, so that
/// leftovers of dead writers can be told from the work of living ones. Without a commit the destructor
/// removes it.
class StagingFolder {
 public:
  /// Makes `parent` when needed, and `parent`/`name`.tmp-<host>-<random>.
  StagingFolder(const std::string& parent, const std::string& name);
  ~StagingFolder();
  StagingFolder(const StagingFolder&) = delete;
  StagingFolder& operator=(const StagingFolder&) = delete;

  const std::string& path() const noexcept { return path_; }
  /// [once] Synchronises the folder, renames, synchronises the parent. A complete folder of the final name (a
  /// step that is written again) is exchanged in one step and removed after. The files inside must be
  /// synchronised already. Returns the final path.
  std::string commit();

 private:
  std::string parent_;
  std::string final_;
  std::string path_;
  std::vector<File> lock_;  ///< the open folder; empty when it is gone
};

/// Removes a complete folder so that it is never seen half removed: renamed first, then deleted.
void remove_committed(const std::string& parent, const std::string& name);

/// Removes temporary folders that no living writer holds: those of this host that are not locked; those of
/// other hosts, whose locks may be invisible, after a day without change. Returns what was removed.
std::vector<std::string> remove_stale(const std::string& parent);

}  // namespace caravan::io
