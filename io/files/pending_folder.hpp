#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "io/files/file.hpp"

namespace caravan::io {

/// "<name>.tmp-<host>-<16 hexadecimal digits>": a name that no other process or call gives.
std::string temporary_name(const std::string& name);

/// `name` of such a temporary name; empty for any other.
std::string_view name_behind(std::string_view temporary_name);

/// A folder that is filled under a temporary name beside its final one. It is locked while its writer lives,
/// so that leftovers of dead writers can be told from the work of living ones. The destructor removes it
/// unless it was let go.
class PendingFolder {
 public:
  /// Makes `parent`/`name`.tmp-<host>-<random>; `parent` must be there.
  PendingFolder(const std::string& parent, const std::string& name);
  ~PendingFolder();
  PendingFolder(const PendingFolder&) = delete;
  PendingFolder& operator=(const PendingFolder&) = delete;

  const std::string& path() const noexcept { return path_; }
  /// Makes what was done in the folder survive a power cut. The files inside must be synchronised already.
  void sync() const { lock_.front().sync(); }
  /// [once] It has another name now, or is gone: nothing is removed any more.
  void let_go() { lock_.clear(); }

 private:
  std::string path_;
  std::vector<File> lock_;  ///< the open folder; empty when it was let go
};

/// Removes the temporary folders in `parent` that no living writer holds and whose name behind the temporary
/// one is `wanted`: those of this host that are not locked; those of other hosts, whose locks may be
/// invisible, after a day without change. Returns what was removed.
std::vector<std::string> remove_abandoned(const std::string& parent,
                                          const std::function<bool(std::string_view)>& wanted);

}  // namespace caravan::io
