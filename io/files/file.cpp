#include "io/files/file.hpp"

#include "caravan/check.hpp"
#include "caravan/open_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace caravan::io {
namespace {

// Linux moves at most 2 GiB a call.
constexpr std::size_t kMostBytesACall = std::size_t{1} << 30;

}  // namespace

std::string system_text(std::string_view doing, std::string_view path) {
  return fmt::format("cannot {} {} ({})", doing, path, std::strerror(errno));
}

File::File(const std::string& path, int flags, unsigned mode)
    : path_(path), descriptor_(open_file(path, flags, mode)) {}

File File::adopt(std::string path, int descriptor) {
  return File(std::move(path), Adopted{descriptor});
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

File::File(File&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

std::uint64_t File::size() const {
  struct stat status {};
  CARAVAN_CHECK(::fstat(descriptor_, &status) == 0, IoError, system_text("stat", path_));
  CARAVAN_CHECK(S_ISREG(status.st_mode), IoError, fmt::format("{} is not a regular file", path_));
  return static_cast<std::uint64_t>(status.st_size);
}

void File::read_at(std::uint64_t offset, std::span<std::byte> to) const {
  while (!to.empty()) {
    const auto got =
        ::pread(descriptor_, to.data(), std::min(to.size(), kMostBytesACall), static_cast<off_t>(offset));
    if (got < 0 && (errno == EINTR || leave_direct())) continue;
    CARAVAN_CHECK(got >= 0, IoError, system_text("read", path_));
    CARAVAN_CHECK(
        got > 0, IoError,
        fmt::format("{} ends at byte {} ({} more were expected: truncated?)", path_, offset, to.size()));
    offset += static_cast<std::uint64_t>(got);
    to = to.subspan(static_cast<std::size_t>(got));
  }
}

void File::write(std::span<const std::byte> data) {
  while (!data.empty()) {
    const auto put = ::write(descriptor_, data.data(), std::min(data.size(), kMostBytesACall));
    if (put < 0 && errno == EINTR) continue;
    CARAVAN_CHECK(put >= 0, IoError, system_text("write", path_));
    data = data.subspan(static_cast<std::size_t>(put));
  }
}

void File::write_at(std::uint64_t offset, std::span<const std::byte> data) const {
  while (!data.empty()) {
    const auto put = ::pwrite(descriptor_, data.data(), std::min(data.size(), kMostBytesACall),
                              static_cast<off_t>(offset));
    if (put < 0 && (errno == EINTR || leave_direct())) continue;
    CARAVAN_CHECK(put >= 0, IoError, system_text("write", path_));
    offset += static_cast<std::uint64_t>(put);
    data = data.subspan(static_cast<std::size_t>(put));
  }
}

void File::sync() const {
  CARAVAN_CHECK(::fsync(descriptor_) == 0, IoError, system_text("synchronise", path_));
}

bool File::leave_direct() const {
  if (errno != EINVAL) return false;
  const int flags = ::fcntl(descriptor_, F_GETFL);
  const bool left = flags >= 0 && (flags & O_DIRECT) && ::fcntl(descriptor_, F_SETFL, flags & ~O_DIRECT) == 0;
  errno = EINVAL;  // what the caller reports otherwise
  return left;
}

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const File file(path, O_RDONLY);
  size_ = file.size();
  if (size_ == 0) return;
  void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  CARAVAN_CHECK(mapped != MAP_FAILED, IoError, system_text("map", path));
  data_ = static_cast<const std::byte*>(mapped);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

std::string read_text(const std::string& path, std::uint64_t limit) {
  return read_file(path, limit);
}

void sync_folder(const std::string& path) {
  File(path, O_RDONLY | O_DIRECTORY).sync();
}

}  // namespace caravan::io
