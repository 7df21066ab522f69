#include "caravan/open_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "caravan/check.hpp"

namespace caravan {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 16;

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { ::close(number_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const noexcept { return number_; }

 private:
  int number_;
};

int open_or_negative(const std::string& path, int flags, unsigned mode) {
  const bool writes = (flags & O_ACCMODE) != O_RDONLY;
  const int all = flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (writes ? O_NOFOLLOW : 0);
  int descriptor = -1;
  do {
    descriptor = ::open(path.c_str(), all, mode);
  } while (descriptor < 0 && errno == EINTR);
  return descriptor;
}

std::string no_regular_file(const std::string& path, unsigned mode) {
  return fmt::format("{} is not a regular file (it is {})", path, kind_of_file(mode));
}

/// The kernel's own words say little of links that were not followed and of FIFOs that nobody reads.
[[noreturn]] void refuse_unopened(const std::string& path) {
  const int problem = errno;
  struct stat status {};
  const bool exists = ::lstat(path.c_str(), &status) == 0;
  if (problem == ELOOP && exists && S_ISLNK(status.st_mode))
    throw IoError(
        fmt::format("{} is a symbolic link (what it points to is not ours to write). Remove it?", path));
  if (problem == ENXIO && exists) throw IoError(no_regular_file(path, status.st_mode));
  throw IoError(fmt::format("cannot open {} ({})", path, std::strerror(problem)));
}

}  // namespace

std::string_view kind_of_file(unsigned mode) {
  if (S_ISREG(mode)) return "a regular file";
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISLNK(mode)) return "a symbolic link";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return S_ISBLK(mode) ? "a block device" : "a character device";
}

int open_file(const std::string& path, int flags, unsigned mode) {
  const int descriptor = open_or_negative(path, flags, mode);
  if (descriptor < 0) refuse_unopened(path);
  struct stat status {};
  const bool known = ::fstat(descriptor, &status) == 0;
  if (known && (S_ISREG(status.st_mode) || (flags & O_DIRECTORY) != 0)) return descriptor;
  ::close(descriptor);
  throw IoError(no_regular_file(path, status.st_mode));
}

namespace {

void check_size(const std::string& path, std::uint64_t bytes, std::uint64_t most) {
  CARAVAN_CHECK(bytes <= most, IoError,
                fmt::format("{} has {} bytes (at most {} are read)", path, bytes, most));
}

void read_to_end(int descriptor, const std::string& path, const std::function<void(std::string_view)>& use) {
  std::string piece(kPiece, '\0');
  for (;;) {
    const auto got = ::read(descriptor, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    CARAVAN_CHECK(got >= 0, IoError, fmt::format("cannot read {} ({})", path, std::strerror(errno)));
    if (got == 0) return;
    use(std::string_view(piece).substr(0, static_cast<std::size_t>(got)));
  }
}

}  // namespace

void read_pieces(const std::string& path, const std::function<void(std::string_view)>& use) {
  const Descriptor file(open_file(path, O_RDONLY));
  read_to_end(file.number(), path, use);
}

std::string read_file(const std::string& path, std::uint64_t most) {
  const Descriptor file(open_file(path, O_RDONLY));
  struct stat status {};
  if (::fstat(file.number(), &status) == 0)
    check_size(path, static_cast<std::uint64_t>(status.st_size), most);
  std::string text;
  text.reserve(static_cast<std::size_t>(status.st_size));
  read_to_end(file.number(), path, [&](std::string_view piece) {
    text += piece;
    check_size(path, text.size(), most);  // it may grow meanwhile
  });
  return text;
}

}  // namespace caravan
