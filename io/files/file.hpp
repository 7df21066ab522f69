#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace caravan::io {

/// "…: No space left on device" for the current errno; what every message of a failed system call ends with.
std::string system_text(std::string_view doing, std::string_view path);

/// An open file descriptor. Closes it; move-only.
class File {
 public:
  /// As `open_file` of core: a regular file, or with O_DIRECTORY a folder; never waits, and writes through no
  /// link. IoError says what stands there instead.
  File(const std::string& path, int flags, unsigned mode = 0644);
  /// Takes over what is open already, whatever it is. `path`: what messages call it.
  static File adopt(std::string path, int descriptor);
  ~File();
  File(File&& other) noexcept;
  File& operator=(File&&) = delete;

  int descriptor() const noexcept { return descriptor_; }
  const std::string& path() const noexcept { return path_; }
  std::uint64_t size() const;

  /// All of `to` from `offset`; IoError when the file ends before.
  void read_at(std::uint64_t offset, std::span<std::byte> to) const;
  void write(std::span<const std::byte> data);
  void write_at(std::uint64_t offset, std::span<const std::byte> data) const;
  void sync() const;
  /// [after a failed read or write] True when the file system takes O_DIRECT and then refuses what it is
  /// asked for with it (pages of 64 KiB, the rest of a short transfer), and the same call without it is worth
  /// a try.
  bool leave_direct() const;

 private:
  struct Adopted {
    int descriptor;
  };
  File(std::string path, Adopted adopted) : path_(std::move(path)), descriptor_(adopted.descriptor) {}

  std::string path_;
  int descriptor_ = -1;
};

/// A whole file mapped read-only. A file that shrinks while mapped kills the reader with SIGBUS, as for every
/// mapping: only a child process that may die of its file reads one.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// The text of a small file; IoError above `limit` bytes.
std::string read_text(const std::string& path, std::uint64_t limit);

/// Makes renames and removals in a folder survive a power cut.
void sync_folder(const std::string& path);

}  // namespace caravan::io
