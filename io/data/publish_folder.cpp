#include "io/data/publish_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <vector>

#include "caravan/check.hpp"
#include "io/files/file.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kChunkBytes = std::size_t{1} << 18;

bool holds_the_same(const fs::path& left, const fs::path& right) {
  const File one(left.string(), O_RDONLY), other(right.string(), O_RDONLY);
  const std::uint64_t size = one.size();
  if (other.size() != size) return false;
  std::vector<std::byte> ours(kChunkBytes), theirs(kChunkBytes);
  for (std::uint64_t at = 0; at < size; at += kChunkBytes) {
    const std::size_t bytes = std::min<std::uint64_t>(kChunkBytes, size - at);
    one.read_at(at, std::span(ours).first(bytes));
    other.read_at(at, std::span(theirs).first(bytes));
    if (!std::equal(ours.begin(), ours.begin() + static_cast<std::ptrdiff_t>(bytes), theirs.begin()))
      return false;
  }
  return true;
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

void move_files(const std::string& beside, const std::string& folder, const std::string& last) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(beside)) files.push_back(entry.path());
  std::ranges::partition(files, [&](const fs::path& file) { return file.filename() != last; });
  MovedFiles moved;
  for (const fs::path& file : files) moved.move(file, fs::path(folder) / file.filename());
  sync_folder(folder);
  moved.keep();
  fs::remove_all(beside);
}

}  // namespace

void publish_folder(const std::string& beside, const std::string& folder, const std::string& last) {
  sync_folder(beside);
  if (fs::is_directory(folder)) return move_files(beside, folder, last);
  rename_or_refuse(beside, folder);
  const fs::path parent = fs::path(folder).parent_path();
  sync_folder(parent.empty() ? "." : parent.string());
}

}  // namespace caravan::io
