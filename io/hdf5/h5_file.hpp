#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "io/hdf5/library.hpp"

namespace caravan::io::h5 {

/// Where elements of this size or more start: a page, so that they can go to the disk past the page cache.
inline constexpr std::uint64_t kAlignment = 4096;

/// An HDF5 file on the POSIX driver. Closing it closes every object in it. HDF5's own file locks are off:
/// they fail on file systems without locks, and nothing here opens a file that another process writes.
class H5File {
 public:
  /// IoError when the file exists.
  static H5File create(const std::string& path);
  static H5File open_to_read(const std::string& path);
  /// A file that lies in memory, which must outlive this. No file is opened, nothing is copied. `path` is
  /// what messages call it.
  static H5File open_image(const std::string& path, std::span<const std::byte> image);

  hid_t id() const noexcept { return handle_; }
  const std::string& path() const noexcept { return path_; }
  /// Writes what is buffered and closes; IoError when that fails, as on a full disk. HDF5 itself never calls
  /// fsync.
  void finish();

 private:
  H5File(std::string path, Handle handle) : path_(std::move(path)), handle_(std::move(handle)) {}

  std::string path_;
  Handle handle_;
};

}  // namespace caravan::io::h5
