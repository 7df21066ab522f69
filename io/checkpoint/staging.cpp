#include "io/checkpoint/staging.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/misnamed.hpp"
#include "io/files/pending_file.hpp"
#include "io/files/rename_new.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

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
  const std::string aside = temporary_name(to);
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

const std::string& made(const std::string& parent) {
  std::error_code problem;
  fs::create_directories(parent, problem);
  CARAVAN_CHECK(!problem, IoError, fmt::format("cannot make the folder {} ({})", parent, problem.message()));
  return parent;
}

}  // namespace

StagingFolder::StagingFolder(const std::string& parent, const std::string& name, Former former)
    : parent_(parent),
      final_((fs::path(parent) / name).string()),
      former_(former),
      folder_(made(parent), name) {}

std::string StagingFolder::commit() {
  folder_.sync();
  former_ == Former::refused ? rename_new(path(), final_) : put_in_place(path(), final_);
  sync_folder(parent_);
  if (former_ == Former::replaced) remove_former(path(), final_);
  folder_.let_go();
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
  return remove_abandoned(parent, [](std::string_view name) { return step_of(name).has_value(); });
}

}  // namespace caravan::io
