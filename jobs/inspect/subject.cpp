#include "jobs/inspect/subject.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "caravan/check.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/manifest.hpp"
#include "io/checkpoint/misnamed.hpp"
#include "jobs/inspect/foreign_tensors.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

bool is_listed(const fs::path& folder, const std::string& name) {
  const io::Manifest manifest = io::read_manifest(folder.string());
  return std::any_of(manifest.files.begin(), manifest.files.end(),
                     [&](const auto& file) { return file.name == name; });
}

/// A file that no manifest beside it vouches for.
bool is_foreign(const std::string& path) {
  if (fs::is_directory(path)) return false;
  const fs::path folder = fs::absolute(path).parent_path();
  return !fs::exists(folder / io::kManifestFile) || !is_listed(folder, fs::path(path).filename().string());
}

bool is_checkpoint(const std::string& folder) {
  return fs::exists(fs::path(folder) / io::kManifestFile) ||
         fs::exists(fs::path(folder) / io::kCheckpointFile);
}

/// Opening a pipe or a device could wait for ever.
void check_kind(const std::string& path) {
  std::error_code ignored;
  CARAVAN_CHECK(fs::exists(path, ignored), IoError, fmt::format("{} does not exist", path));
  CARAVAN_CHECK(fs::is_directory(path, ignored) || fs::is_regular_file(path, ignored), IoError,
                fmt::format("{} is neither a folder nor a regular file", path));
}

std::vector<std::string> folders_of_run(const std::string& run) {
  std::vector<std::string> folders;
  for (const std::int64_t step : io::list_steps(run))
    folders.push_back((fs::path(io::checkpoints_folder(run)) / io::step_folder(step)).string());
  std::reverse(folders.begin(), folders.end());
  CARAVAN_CHECK(!folders.empty(), IoError,
                fmt::format("{} is no HDF5 checkpoint and holds none (neither {} nor step-… folders)", run,
                            io::kManifestFile));
  return folders;
}

Subject open_checkpoint(const std::string& folder) {
  auto source = std::make_unique<CheckpointTensors>(io::CheckpointReader::open(folder, io::Check::structure));
  return {folder, std::move(source), {}};
}

/// Nothing when one went away meanwhile: its run prunes, and has a newer one by now.
std::optional<Subject> open_newest(const std::string& path, const std::vector<std::string>& folders) {
  std::vector<io::Skipped> skipped;
  for (const std::string& folder : folders) {
    try {
      const auto why = folder == path ? std::nullopt : io::misnamed(folder);
      CARAVAN_CHECK(!why, IoError, fmt::format("{} is passed over: {}", folder, *why));
      Subject subject = open_checkpoint(folder);
      subject.skipped = std::move(skipped);
      return subject;
    } catch (const IoError& error) {
      if (!fs::exists(folder)) return std::nullopt;
      if (folders.size() == 1) throw;
      skipped.push_back({folder, error.message()});
    }
  }
  throw IoError(fmt::format("none of {} checkpoints can be opened (the newest: {})", folders.size(),
                            skipped.front().why));
}

}  // namespace

const io::CheckpointReader* Subject::checkpoint() const {
  const auto* ours = dynamic_cast<const CheckpointTensors*>(source.get());
  return ours ? &ours->reader() : nullptr;
}

const ForeignTensors* Subject::foreign() const {
  return dynamic_cast<const ForeignTensors*>(source.get());
}

Subject open_subject(const std::string& path) {
  check_kind(path);
  if (is_foreign(path)) return {path, std::make_unique<ForeignTensors>(path), {}};
  for (int looks = 0; looks < io::kMostLooks; ++looks) {
    if (auto subject = open_newest(path, checkpoint_folders(path))) return std::move(*subject);
  }
  throw IoError(
      fmt::format("the checkpoints of {} went away while they were opened, {} times", path, io::kMostLooks));
}

std::vector<std::string> checkpoint_folders(const std::string& path) {
  check_kind(path);
  CARAVAN_CHECK(!is_foreign(path), ConfigError,
                fmt::format("{} has no {} beside it that lists it (this needs a checkpoint of caravan)", path,
                            io::kManifestFile));
  if (!fs::is_directory(path)) return {fs::absolute(path).parent_path().string()};
  return is_checkpoint(path) ? std::vector{path} : folders_of_run(path);
}

const io::CheckpointReader& required_checkpoint(const Subject& subject, const std::string& need) {
  const io::CheckpointReader* reader = subject.checkpoint();
  CARAVAN_CHECK(reader, ConfigError,
                fmt::format("{} has no {} beside it ({} needs a checkpoint of caravan)", subject.path,
                            io::kManifestFile, need));
  return *reader;
}

}  // namespace caravan::jobs
