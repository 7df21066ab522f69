#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "io/files/file.hpp"
#include "io/files/output_target.hpp"

namespace caravan::io {

/// Text that no other process or call gives: 16 hexadecimal digits.
std::string random_suffix();

/// Who chose the name of an output.
enum class NamedBy {
  user,  ///< links are followed; a FIFO or a character device is written to
  us,    ///< a file of a run's folder: links and all that is no regular file are refused
};

/// A file that appears whole or not at all: written beside its final name, synchronised, renamed by `commit`;
/// mode and owner of a file that is replaced are kept. Without a commit the destructor removes what was
/// written. What is no file (a FIFO, a character device, /dev/stdout) is opened and written as it comes.
class PendingFile {
 public:
  /// IoError where nothing can be written: a folder, a block device, a socket, a FIFO that nobody reads.
  explicit PendingFile(const std::string& path, NamedBy named_by = NamedBy::user);
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
  bool is_stream() const noexcept { return target_.kind == OutputTarget::Kind::stream; }

  OutputTarget target_;
  std::string beside_;  ///< of a stream: nothing
  std::optional<File> file_;
};

/// The whole of an output.
void write_output(const std::string& path, std::string_view bytes, NamedBy named_by = NamedBy::user);

}  // namespace caravan::io
