#include "jobs/convert/source_files.hpp"

#include <fmt/format.h>

#include <system_error>

#include "caravan/check.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

bool holds_weights(const fs::path& path) {
  return path.extension() == ".safetensors" || path.extension() == ".pth";
}

}  // namespace

SourceFiles::SourceFiles(const std::string& source) {
  std::vector<fs::path> paths;
  if (fs::is_directory(source)) {
    for (const fs::directory_entry& entry : fs::directory_iterator(source))
      if (holds_weights(entry.path()) && entry.is_regular_file()) paths.push_back(entry.path());
  } else if (fs::is_regular_file(source)) {
    paths.emplace_back(source);
  }
  for (const fs::path& path : paths) files_.push_back({path, fs::file_size(path), fs::last_write_time(path)});
}

void SourceFiles::check_unchanged() const {
  for (const File& file : files_) {
    std::error_code problem;
    const bool is_same = fs::file_size(file.path, problem) == file.bytes &&
                         fs::last_write_time(file.path, problem) == file.written;
    CARAVAN_CHECK(
        is_same && !problem, IoError,
        fmt::format("{} was written to or removed while it was converted (what was made of it could be of "
                    "two models). Convert again?",
                    file.path.string()));
  }
}

}  // namespace caravan::jobs
