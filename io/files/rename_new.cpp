#include "io/files/rename_new.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "caravan/check.hpp"
#include "io/files/file.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const std::string& from, const std::string& to) {
  throw IoError(
      fmt::format("cannot rename {} to {} (something appeared there meanwhile, and nothing is "
                  "replaced). Another name?",
                  from, to));
}

void check(int result, const std::string& from, const std::string& to) {
  if (result != 0 && errno == EEXIST) refuse(from, to);
  CARAVAN_CHECK(result == 0, IoError, system_text("rename " + from + " to", to));
}

}  // namespace

void rename_new_by_links(const std::string& from, const std::string& to) {
  std::error_code ignored;
  if (fs::symlink_status(to, ignored).type() != fs::file_type::not_found) refuse(from, to);
  if (fs::is_directory(from, ignored)) return check(::rename(from.c_str(), to.c_str()), from, to);
  check(::link(from.c_str(), to.c_str()), from, to);
  fs::remove(from, ignored);  // its other name lies in a temporary folder
}

void rename_new(const std::string& from, const std::string& to) {
  const int result = ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE);
  if (result != 0 && (errno == EINVAL || errno == ENOSYS)) return rename_new_by_links(from, to);
  check(result, from, to);
}

}  // namespace caravan::io
