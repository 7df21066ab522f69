#include "io/data/publish_folder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "caravan/check.hpp"
#include "io/files/file.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

bool holds_the_same(const fs::path& left, const fs::path& right) {
  const MappedFile one(left.string()), other(right.string());
  return std::ranges::equal(one.bytes(), other.bytes());
}

void rename_or_refuse(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  CARAVAN_CHECK(!error, IoError,
                fmt::format("cannot rename {} to {} ({}). May you write there?", from.string(), to.string(),
                            error.message()));
}

/// The files that were moved into a folder; removes them again unless all of them arrived.
class MovedFiles {
 public:
  ~MovedFiles() {
    std::error_code ignored;
    for (const fs::path& file : moved_) fs::remove(file, ignored);
  }
  void move(const fs::path& from, const fs::path& to) {
    if (fs::exists(to)) {
      CARAVAN_CHECK(
          holds_the_same(from, to), IoError,
          fmt::format("{} exists and is another file (it belongs to other data). Name another folder?",
                      to.string()));
      return;
    }
    rename_or_refuse(from, to);
    moved_.push_back(to);
  }
  void keep() { moved_.clear(); }

 private:
  std::vector<fs::path> moved_;
};

void move_files(const std::string& beside, const std::string& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(beside)) files.push_back(entry.path());
  MovedFiles moved;
  for (const fs::path& file : files) moved.move(file, fs::path(folder) / file.filename());
  sync_folder(folder);
  moved.keep();
  fs::remove_all(beside);
}

}  // namespace

void publish_folder(const std::string& beside, const std::string& folder) {
  sync_folder(beside);
  if (fs::is_directory(folder)) return move_files(beside, folder);
  rename_or_refuse(beside, folder);
  const fs::path parent = fs::path(folder).parent_path();
  sync_folder(parent.empty() ? "." : parent.string());
}

}  // namespace caravan::io
