#include "io/files/pending_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <filesystem>

#include "caravan/check.hpp"
#include "io/files/host_name.hpp"
#include "io/files/pending_file.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMark = ".tmp-";
constexpr std::size_t kSuffixBytes = 17;  // "-" and 16 digits
constexpr auto kForeignAge = std::chrono::hours(24);

/// The host's name in letters that a folder's name may have.
std::string host_part() {
  std::string text = host_name("unknown");
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return !std::isalnum(c) && c != '.'; }, '_');
  return text;
}

bool is_random_suffix(std::string_view suffix) {
  return suffix.starts_with('-') && suffix.find_first_not_of("0123456789abcdef", 1) == std::string_view::npos;
}

bool is_of_this_host(std::string_view name) {
  const auto host = name_behind(name).size() + kMark.size();
  return name.substr(host, name.size() - kSuffixBytes - host) == host_part();
}

bool is_old(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return false;
  const auto changed = std::chrono::system_clock::from_time_t(status.st_mtime);
  return std::chrono::system_clock::now() - changed > kForeignAge;
}

/// True when it was abandoned and is gone now. The lock is held until then, so that a writer that has just
/// made the folder and one that removes it cannot both believe that it is theirs.
bool remove_if_abandoned(const fs::path& path) {
  if (!is_of_this_host(path.filename().string()) && !is_old(path)) return false;
  const File folder(path.string(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  const bool locked = ::flock(folder.descriptor(), LOCK_EX | LOCK_NB) == 0;
  if (!locked && (errno == EWOULDBLOCK || !is_old(path))) return false;
  std::error_code problem;
  fs::remove_all(path, problem);
  return !problem;
}

/// Takes the lock where the file system has locks; elsewhere age decides what is abandoned.
void lock_own(const File& folder) {
  const bool refused = ::flock(folder.descriptor(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  struct stat status {};
  CARAVAN_CHECK(
      !refused && ::fstat(folder.descriptor(), &status) == 0 && status.st_nlink > 0, IoError,
      fmt::format("{} was taken by another process (do two runs write to one folder?)", folder.path()));
}

/// Never throws. HDF5 keeps a file open that it could not close on a full disk, and an open file keeps its
/// space even when removed, so files are cut to nothing first.
void give_up(const std::string& folder) noexcept {
  std::error_code ignored;
  for (fs::directory_iterator entry(folder, ignored), end; entry != end; entry.increment(ignored)) {
    if (entry->is_regular_file(ignored)) fs::resize_file(entry->path(), 0, ignored);
  }
  fs::remove_all(folder, ignored);
}

}  // namespace

std::string temporary_name(const std::string& name) {
  return fmt::format("{}{}{}-{}", name, kMark, host_part(), random_suffix());
}

std::string_view name_behind(std::string_view temporary_name) {
  const auto mark = temporary_name.rfind(kMark);
  const bool is_temporary = mark != std::string_view::npos &&
                            temporary_name.size() > mark + kMark.size() + kSuffixBytes &&
                            is_random_suffix(temporary_name.substr(temporary_name.size() - kSuffixBytes));
  return is_temporary ? temporary_name.substr(0, mark) : std::string_view();
}

PendingFolder::PendingFolder(const std::string& parent, const std::string& name)
    : path_((fs::path(parent) / temporary_name(name)).string()) {
  CARAVAN_CHECK(::mkdir(path_.c_str(), 0777) == 0, IoError,
                fmt::format("{}. May you write there, and does its parent exist?",
                            system_text("make the folder", path_)));
  lock_.emplace_back(path_, O_RDONLY | O_DIRECTORY);
  lock_own(lock_.front());
}

PendingFolder::~PendingFolder() {
  if (!lock_.empty()) give_up(path_);
}

std::vector<std::string> remove_abandoned(const std::string& parent,
                                          const std::function<bool(std::string_view)>& wanted) {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (fs::directory_iterator entry(parent, ignored), end; entry != end; entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    if (const auto behind = name_behind(name); !behind.empty() && wanted(behind))
      found.push_back(entry->path());
  }
  std::vector<std::string> removed;
  for (const fs::path& path : found) {
    try {
      if (remove_if_abandoned(path)) removed.push_back(path.string());
    } catch (const IoError&) {
      continue;  // it vanished meanwhile, is a link, or belongs to another user: not ours to remove
    }
  }
  return removed;
}

}  // namespace caravan::io
