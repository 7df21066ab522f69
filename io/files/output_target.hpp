#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <vector>

namespace caravan::io {

/// What stands where an output shall go, symbolic links followed.
struct OutputTarget {
  enum class Kind {
    absent,
    regular,  ///< replaced as a whole; mode and owner are kept
    stream,   ///< a FIFO, a character device, or an open descriptor: opened and written
  };
  std::string path;  ///< behind the last link
  Kind kind = Kind::absent;
  struct stat status {};          ///< of a regular file
  std::optional<int> descriptor;  ///< of /dev/stdout, /dev/fd/3 and their kind
};

/// IoError for what no output may be: a folder, a block device, a socket, a file that may not be written,
/// links in a circle.
OutputTarget find_target(const std::string& path);

/// The same for a file of our own, where nothing but a regular file may ever stand: IoError for anything
/// else.
OutputTarget find_own_target(const std::string& path);

/// A file as it was named: "--outputs" and its path.
struct NamedFile {
  std::string name, path;
};

/// Before any work is done: IoError for what no output may be, ConfigError when an output is another output
/// or an input, by whatever path. A character device, such as /dev/null, may be given twice. An empty path is
/// none.
void check_outputs(const std::vector<NamedFile>& outputs, const std::vector<NamedFile>& inputs);

}  // namespace caravan::io
