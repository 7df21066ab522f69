#include "core/plugin/trust.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "caravan/check.hpp"

namespace caravan {
namespace {

struct stat status_of(const std::string& path) {
  struct stat status {};
  CARAVAN_CHECK(::stat(path.c_str(), &status) == 0, PluginError,
                fmt::format("cannot look at {} ({}). Is the path right?", path, std::strerror(errno)));
  return status;
}

bool everybody_writes(const struct stat& status) {
  return (status.st_mode & S_IWOTH) != 0;
}

void check_ancestors(const std::filesystem::path& directory) {
  for (auto at = directory.parent_path(); at != at.parent_path(); at = at.parent_path()) {
    const struct stat status = status_of(at.string());
    CARAVAN_CHECK(
        !everybody_writes(status) || (status.st_mode & S_ISVTX) != 0, PluginError,
        fmt::format(
            "plugin directory {} lies in {}, which everybody can write (so anybody could exchange it). "
            "chmod o-w {}?",
            directory.string(), at.string(), at.string()));
  }
}

}  // namespace

void check_trusted_directory(const std::string& directory) {
  CARAVAN_CHECK(
      !everybody_writes(status_of(directory)), PluginError,
      fmt::format(
          "plugin directory {} can be written by everybody (so anybody could plant a plugin). chmod o-w {}?",
          directory, directory));
  check_ancestors(directory);
}

void check_trusted_file(const std::string& file) {
  const struct stat status = status_of(file);
  CARAVAN_CHECK(S_ISREG(status.st_mode), PluginError, fmt::format("plugin {} is not a regular file", file));
  CARAVAN_CHECK(
      !everybody_writes(status), PluginError,
      fmt::format("plugin {} can be written by everybody (so anybody could change it). chmod o-w {}?", file,
                  file));
  CARAVAN_CHECK(status.st_uid == 0 || status.st_uid == ::geteuid(), PluginError,
                fmt::format("plugin {} belongs to user {} (must be root or user {}). Install it yourself?",
                            file, status.st_uid, ::geteuid()));
  check_trusted_directory(std::filesystem::path(file).parent_path().string());
}

}  // namespace caravan
