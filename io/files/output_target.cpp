#include "io/files/output_target.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>

#include "caravan/check.hpp"
#include "caravan/open_file.hpp"
#include "io/files/file.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // as Linux follows

fs::path folder_of(const std::string& path) {
  const fs::path folder = fs::path(path).parent_path();
  return folder.empty() ? "." : folder;
}

/// The number when `link` is this process's link to an open descriptor: what it points to has no other path.
std::optional<int> own_descriptor(const std::string& link) {
  std::error_code ignored;
  const fs::path folder = fs::canonical(folder_of(link), ignored);
  if (ignored || folder != fs::canonical("/proc/self/fd", ignored)) return std::nullopt;
  const std::string digits = fs::path(link).filename();
  int number = -1;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (problem != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

std::string pointed_to(const std::string& link) {
  std::error_code problem;
  const fs::path to = fs::read_symlink(link, problem);
  CARAVAN_CHECK(!problem, IoError, fmt::format("cannot read the link {} ({})", link, problem.message()));
  return (folder_of(link) / to).string();  // an absolute one replaces the folder
}

void check_name(const std::string& path) {
  CARAVAN_CHECK(!path.empty(), IoError, "an output has an empty name. Name a file?");
  CARAVAN_CHECK(!path.ends_with('/'), IoError,
                fmt::format("{} names a folder (an output is a file). Name a file in it?", path));
}

OutputTarget regular(const std::string& path, const struct stat& status) {
  CARAVAN_CHECK(::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0, IoError,
                system_text("write", path));
  return {path, OutputTarget::Kind::regular, status, std::nullopt};
}

OutputTarget existing(const std::string& path, const struct stat& status) {
  if (S_ISREG(status.st_mode)) return regular(path, status);
  const bool is_stream = S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode);
  CARAVAN_CHECK(is_stream, IoError,
                fmt::format("{} is {} (an output is a file, a FIFO or a character device). Name another?",
                            path, kind_of_file(status.st_mode)));
  return {path, OutputTarget::Kind::stream, status, std::nullopt};
}

bool is_same(const OutputTarget& a, const OutputTarget& b) {
  struct stat left {
  }, right{};
  const bool left_exists = ::stat(a.path.c_str(), &left) == 0;
  const bool right_exists = ::stat(b.path.c_str(), &right) == 0;
  if (left_exists != right_exists) return false;
  if (left_exists)
    return left.st_dev == right.st_dev && left.st_ino == right.st_ino && !S_ISCHR(left.st_mode);
  std::error_code ignored;
  return fs::path(a.path).filename() == fs::path(b.path).filename() &&
         fs::equivalent(folder_of(a.path), folder_of(b.path), ignored);
}

struct Named {
  std::string name;
  OutputTarget target;
};

void refuse_same(const Named& output, const Named& other) {
  CARAVAN_CHECK(!is_same(output.target, other.target), ConfigError,
                fmt::format("{} and {} are one file, {} (the output would replace it). Name another?",
                            output.name, other.name, output.target.path));
}

}  // namespace

OutputTarget find_target(const std::string& given) {
  check_name(given);
  std::string path = given;
  for (int links = 0; links <= kMostLinks; ++links) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
      CARAVAN_CHECK(errno == ENOENT, IoError, system_text("write", path));
      return {path, OutputTarget::Kind::absent, {}, std::nullopt};
    }
    if (!S_ISLNK(status.st_mode)) return existing(path, status);
    if (const auto descriptor = own_descriptor(path))
      return {path, OutputTarget::Kind::stream, {}, descriptor};
    path = pointed_to(path);
  }
  throw IoError(fmt::format("{} is a symbolic link that leads nowhere (a circle?). Name another?", given));
}

OutputTarget find_own_target(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    CARAVAN_CHECK(errno == ENOENT, IoError, system_text("write", path));
    return {path, OutputTarget::Kind::absent, {}, std::nullopt};
  }
  CARAVAN_CHECK(S_ISREG(status.st_mode), IoError,
                fmt::format("{} is {} (only a regular file of the run may stand there). Remove it?", path,
                            kind_of_file(status.st_mode)));
  return regular(path, status);
}

void check_outputs(const std::vector<NamedFile>& outputs, const std::vector<NamedFile>& inputs) {
  std::vector<Named> taken;
  for (const NamedFile& input : inputs) taken.push_back({input.name, {input.path, {}, {}, {}}});
  for (const NamedFile& output : outputs) {
    if (output.path.empty()) continue;
    const Named named{output.name, find_target(output.path)};
    for (const Named& other : taken) refuse_same(named, other);
    taken.push_back(named);
  }
}

}  // namespace caravan::io
