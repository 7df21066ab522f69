#include "io/checkpoint/staging.hpp"

#include "caravan/check.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "caravan/log.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/misnamed.hpp"
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

std::string temporary_name(const std::string& name) {
  return fmt::format("{}{}{}-{}", name, kMark, host_part(), random_suffix());
}

void rename_or_throw(const std::string& from, const std::string& to) {
  CARAVAN_CHECK(::rename(from.c_str(), to.c_str()) == 0, IoError, system_text("rename to", to));
}

/// Afterwards `to` is what `from` was; what stood at `to`, if anything, is at `from`.
void put_in_place(const std::string& from, const std::string& to) {
  if (!fs::exists(to)) return rename_or_throw(from, to);
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) return;
  CARAVAN_CHECK(errno == EINVAL || errno == ENOSYS, IoError, system_text("exchange with", to));
  // A file system that cannot exchange: for an instant the step has no folder, and the one before it is the
  // latest.
  const std::string aside = to + std::string(kMark) + host_part() + "-" + random_suffix();
  rename_or_throw(to, aside);
  rename_or_throw(from, to);
  rename_or_throw(aside, from);
}

/// What stood under the name of a step that was written again, at `path` by now. The checkpoint of another
/// step that somebody gave this name is not replaced by anything, and stays.
void remove_former(const std::string& path, const std::string& final_path) {
  std::error_code ignored;
  const auto step = step_of(fs::path(final_path).filename().string());
  const bool is_another = step && !fs::is_empty(path, ignored) && misnamed(path, *step);
  if (!is_another) {
    fs::remove_all(path, ignored);
    return;
  }
  const std::string aside = final_path + ".other-" + random_suffix();
  rename_or_throw(path, aside);
  log_warning(fmt::format("{} held the checkpoint of another step (was it renamed?): it is {} now",
                          final_path, aside));
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

bool is_temporary(const std::string& name) {
  const auto mark = name.find(kMark);
  return mark != std::string::npos && step_of(name.substr(0, mark)) &&
         name.size() > mark + kMark.size() + kSuffixBytes;
}

bool is_of_this_host(const std::string& name) {
  const auto host = name.find(kMark) + kMark.size();
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

std::vector<fs::path> temporary_folders(const std::string& parent) {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (fs::directory_iterator entry(parent, ignored), end; entry != end; entry.increment(ignored)) {
    if (is_temporary(entry->path().filename().string())) found.push_back(entry->path());
  }
  return found;
}

/// Takes the lock where the file system has locks; elsewhere age decides what is abandoned.
void lock_own(const File& folder) {
  const bool refused = ::flock(folder.descriptor(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  struct stat status {};
  CARAVAN_CHECK(
      !refused && ::fstat(folder.descriptor(), &status) == 0 && status.st_nlink > 0, IoError,
      fmt::format("{} was taken by another process (do two runs write to one folder?)", folder.path()));
}

}  // namespace

StagingFolder::StagingFolder(const std::string& parent, const std::string& name)
    : parent_(parent),
      final_((fs::path(parent) / name).string()),
      path_((fs::path(parent) / temporary_name(name)).string()) {
  std::error_code problem;
  fs::create_directories(parent_, problem);
  CARAVAN_CHECK(!problem, IoError, fmt::format("cannot make the folder {} ({})", parent_, problem.message()));
  CARAVAN_CHECK(::mkdir(path_.c_str(), 0777) == 0, IoError, system_text("make the folder", path_));
  lock_.emplace_back(path_, O_RDONLY | O_DIRECTORY);
  lock_own(lock_.front());
}

StagingFolder::~StagingFolder() {
  if (lock_.empty()) return;
  give_up(path_);
}

std::string StagingFolder::commit() {
  lock_.front().sync();
  put_in_place(path_, final_);
  sync_folder(parent_);
  remove_former(path_, final_);
  lock_.clear();
  return final_;
}

void remove_committed(const std::string& parent, const std::string& name) {
  const std::string aside = (fs::path(parent) / temporary_name(name)).string();
  rename_or_throw((fs::path(parent) / name).string(), aside);
  std::error_code problem;
  fs::remove_all(aside, problem);
  CARAVAN_CHECK(!problem, IoError, fmt::format("cannot remove {} ({})", aside, problem.message()));
}

std::vector<std::string> remove_stale(const std::string& parent) {
  std::vector<std::string> removed;
  for (const fs::path& path : temporary_folders(parent)) {
    try {
      if (remove_if_abandoned(path)) removed.push_back(path.string());
    } catch (const IoError&) {
      continue;  // it vanished meanwhile, is a link, or belongs to another user: not ours to remove
    }
  }
  return removed;
}

}  // namespace caravan::io
