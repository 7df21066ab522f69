#include "io/checkpoint/space.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>

#include <cerrno>

#include "caravan/check.hpp"
#include "io/files/direct_file.hpp"
#include "io/files/file.hpp"

namespace caravan::io {
namespace {

// An object header, its link and its share of a symbol table take 600 to 900 bytes in HDF5 1.10.
constexpr std::uint64_t kBytesAnObject = 1024;
constexpr std::uint64_t kBytesAFile = std::uint64_t{64} << 10;  // root group and attributes

}  // namespace

std::uint64_t space_for(const std::vector<Piece>& pieces) {
  std::uint64_t bytes = kBytesAFile;
  for (const Piece& piece : pieces) bytes += kBytesAnObject + DirectFile::whole_pages(piece.bytes());
  return bytes;
}

void check_space(const std::string& folder, std::uint64_t bytes, std::string_view what) {
  struct statvfs disk {};
  CARAVAN_CHECK(::statvfs(folder.c_str(), &disk) == 0, IoError, system_text("ask the free space of", folder));
  const std::uint64_t free = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  CARAVAN_CHECK(free >= bytes, IoError,
                fmt::format("{} in {} needs {} bytes, {} are free (the disk is full). Remove something?",
                            what, folder, bytes, free));
}

void reserve_blocks(const std::string& path, std::uint64_t bytes) {
  const File file(path, O_WRONLY);
  if (::fallocate(file.descriptor(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) == 0) return;
  CARAVAN_CHECK(errno == EOPNOTSUPP || errno == ENOSYS, IoError,
                fmt::format("{}: {} bytes are needed", system_text("reserve space for", path), bytes));
}

}  // namespace caravan::io
