#include "io/files/direct_reader.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "caravan/check.hpp"
#include "io/files/direct_file.hpp"

namespace caravan::io {
namespace {

/// The file's last page is seldom full, but O_DIRECT asks for all of it: `expected` bytes will come.
void fill(const File& file, std::uint64_t offset, std::span<std::byte> room, std::size_t expected) {
  for (std::size_t all = 0; all < expected;) {
    const auto got =
        ::pread(file.descriptor(), room.data() + all, room.size() - all, static_cast<off_t>(offset + all));
    if (got < 0 && (errno == EINTR || file.leave_direct())) continue;
    CARAVAN_CHECK(got >= 0, IoError, system_text("read", file.path()));
    CARAVAN_CHECK(got > 0, IoError,
                  fmt::format("{} ends at byte {} now ({} more were there: another writer?)", file.path(),
                              offset + all, expected - all));
    all += static_cast<std::size_t>(got);
  }
}

}  // namespace

File DirectReader::open(const std::string& path, Through through) {
  if (through == Through::page_cache) return File(path, O_RDONLY);
  try {
    return File(path, O_RDONLY | O_DIRECT);
  } catch (const IoError&) {
    return File(path, O_RDONLY);
  }
}

void DirectReader::read(const File& file, std::uint64_t begin, std::uint64_t end, const Use& use) {
  const std::uint64_t size = file.size(), behind = DirectFile::whole_pages(end);
  CARAVAN_CHECK(end <= size, IoError,
                fmt::format("{} has {} bytes ({} were expected: truncated?)", file.path(), size, end));
  const auto chunk = chunk_.bytes();
  for (std::uint64_t at = begin / DirectFile::kPage * DirectFile::kPage; at < end; at += chunk.size()) {
    const auto room = chunk.first(std::min<std::uint64_t>(chunk.size(), behind - at));
    fill(file, at, room, std::min<std::uint64_t>(room.size(), size - at));
    const std::uint64_t first = std::max(begin, at), last = std::min(end, at + room.size());
    use(room.subspan(first - at, last - first));
  }
}

}  // namespace caravan::io
