#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "io/files/file.hpp"
#include "io/files/huge_pages.hpp"

namespace caravan::io {

/// Writes large stretches of an existing file past the page cache where the file system can: no second copy
/// in memory, and the speed of the disk instead of the kernel's flusher. Small ones, and everything
/// where O_DIRECT is refused, go through the page cache; so do the ends of a stretch that are not whole
/// pages, so that several may write one file whose shares meet within a page. Any threads may write at once;
/// those wait for each other whose data does not lie in memory's pages as it does in the file's.
class DirectFile {
 public:
  static constexpr std::size_t kPage = 4096;
  static std::uint64_t whole_pages(std::uint64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

  explicit DirectFile(const std::string& path);

  /// Fastest when `data` and `offset` are equally far behind the start of a page.
  void write_at(std::uint64_t offset, std::span<const std::byte> data);
  /// What was written is on the disk.
  void sync() const { buffered_.sync(); }

 private:
  void write_pages(std::uint64_t offset, std::span<const std::byte> data);

  File buffered_;
  std::optional<File> direct_;
  std::mutex bounce_mutex_;
  std::optional<HugePages> bounce_;  // for data that does not start on a page
};

}  // namespace caravan::io
