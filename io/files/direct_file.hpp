#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "io/files/file.hpp"

namespace caravan::io {

/// Writes large stretches of an existing file past the page cache where the file system can: no second copy
/// in memory, and the speed of the disk instead of the kernel's flusher. What is not whole pages, and
/// everything where O_DIRECT is refused, goes through the page cache.
class DirectFile {
 public:
  static constexpr std::size_t kPage = 4096;
  static std::uint64_t whole_pages(std::uint64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

  explicit DirectFile(const std::string& path);

  /// Fastest when `data` and `offset` both start on a page.
  void write_at(std::uint64_t offset, std::span<const std::byte> data);
  /// What was written is on the disk.
  void sync() const { buffered_.sync(); }

 private:
  void write_pages(std::uint64_t offset, std::span<const std::byte> data);

  File buffered_;
  std::optional<File> direct_;
  struct Unmap {
    void operator()(std::byte* pages) const;
  };
  std::unique_ptr<std::byte, Unmap> bounce_;  // pages for data that does not start on one
};

}  // namespace caravan::io
