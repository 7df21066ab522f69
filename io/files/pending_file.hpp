#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "io/files/file.hpp"

namespace caravan::io {

/// Text that no other process or call gives: 16 hexadecimal digits.
std::string random_suffix();

/// A file that appears whole or not at all: written beside its final name, synchronised, renamed by `commit`.
/// Without a commit the destructor removes what was written.
class PendingFile {
 public:
  explicit PendingFile(std::string path);
  ~PendingFile();
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;

  /// IoError (a full disk, for one) leaves the final name untouched.
  void write(std::span<const std::byte> data) { file_->write(data); }
  /// Takes the disk space now, so that a full disk is found before any work is done.
  void reserve(std::uint64_t bytes);
  /// [once]
  void commit();

 private:
  std::string path_;
  std::string beside_;
  std::optional<File> file_;
};

}  // namespace caravan::io
