#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace caravan::jobs {

/// The files of weights of a source as they are when a conversion begins. Checkpoints have digests of what
/// they hold; of other files only sizes and times say that somebody wrote to them.
class SourceFiles {
 public:
  /// Of a folder, or the file itself. IoError when it cannot be read.
  explicit SourceFiles(const std::string& source);
  /// IoError naming a file that is no longer as it was.
  void check_unchanged() const;

 private:
  struct File {
    std::filesystem::path path;
    std::uintmax_t bytes = 0;
    std::filesystem::file_time_type written;
  };
  std::vector<File> files_;
};

}  // namespace caravan::jobs
