#include "core/plugin/trust.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <optional>
#include <vector>

#include "caravan/check.hpp"
#include "caravan/registry.hpp"
#include "core/base/config_scalar.hpp"
#include "core/plugin/processor_level.hpp"

namespace caravan {
namespace {

namespace fs = std::filesystem;

struct stat status_of(const std::string& path) {
  struct stat status {};
  CARAVAN_CHECK(::stat(path.c_str(), &status) == 0, PluginError,
                fmt::format("cannot look at {} ({}). Is the path right?", path, std::strerror(errno)));
  return status;
}

bool everybody_writes(const struct stat& status) {
  return (status.st_mode & S_IWOTH) != 0;
}

bool is_own_or_roots(const struct stat& status) {
  return status.st_uid == 0 || status.st_uid == ::geteuid();
}

/// The account of a name or number in CARAVAN_TRUSTED_USERS.
uid_t account_of(const std::string& word) {
  constexpr std::int64_t kMost = 0xfffffffe;  // (uid_t)-1 is nobody's
  const auto number = parse_int(word);
  if (number && *number >= 0 && *number <= kMost) return static_cast<uid_t>(*number);
  struct passwd entry {};
  struct passwd* found = nullptr;
  std::array<char, 16384> texts;
  ::getpwnam_r(word.c_str(), &entry, texts.data(), texts.size(), &found);
  CARAVAN_CHECK(found, PluginError,
                fmt::format("CARAVAN_TRUSTED_USERS has {} (no account of this machine). Write names or "
                            "numbers of accounts with commas between?",
                            shown(word)));
  return found->pw_uid;
}

/// The executable's owner where `file` lies in the folder of its installation, or in one of a processor's
/// level there: whoever installed the one runs with this user's rights anyway.
std::optional<uid_t> installer_of(const std::string& file) {
  fs::path lies_in = fs::path(file).parent_path();
  const std::string last = lies_in.filename().string();
  if (std::find(std::begin(kProcessorLevels), std::end(kProcessorLevels), last) != std::end(kProcessorLevels))
    lies_in = lies_in.parent_path();
  for (const std::string& folder : Registry::plugin_directories()) {
    std::error_code absent;
    if (fs::canonical(folder, absent) == lies_in) return status_of("/proc/self/exe").st_uid;
  }
  return std::nullopt;
}

void check_owner(const std::string& file, const struct stat& status) {
  if (is_own_or_roots(status)) return;
  const std::optional<uid_t> installer = installer_of(file);
  if (installer && status.st_uid == *installer) return;
  for (const std::string& word : trusted_users())
    if (account_of(word) == status.st_uid) return;
  const bool is_third = installer && *installer != 0 && *installer != ::geteuid();
  const std::string others = is_third ? fmt::format(", user {} who owns this executable", *installer) : "";
  throw PluginError(fmt::format(
      "plugin {} belongs to user {} (must be root, user {}{} or an account that CARAVAN_TRUSTED_USERS "
      "names). Install it yourself?",
      file, status.st_uid, ::geteuid(), others));
}

void check_ancestors(const fs::path& directory) {
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

std::vector<std::string> trusted_users() {
  const char* listed = ::secure_getenv("CARAVAN_TRUSTED_USERS");
  const std::string_view list = listed ? listed : "";
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    if (end > begin) words.emplace_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

void check_trusted_link(const std::string& file, const std::string& target) {
  if (fs::path(target).parent_path() == fs::path(file).parent_path()) return;
  const struct stat status = status_of(target);
  CARAVAN_CHECK(
      is_own_or_roots(status), PluginError,
      fmt::format("plugin {} is a link out of its folder to {} of user {} (only links to your own and root's "
                  "files are followed). Install a copy?",
                  file, target, status.st_uid));
}

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
  check_owner(file, status);
  check_trusted_directory(fs::path(file).parent_path().string());
}

}  // namespace caravan
