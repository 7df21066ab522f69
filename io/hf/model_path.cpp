#include "io/hf/model_path.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include <array>
#include <filesystem>

#include "io/checkpoint/layout.hpp"
#include "io/meta/meta_source.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

bool holds(const std::string& folder, const char* file) {
  return fs::exists(fs::path(folder) / file);
}

/// What is read of a checkpoint is verified as it is read. To verify the weights before is worth a second
/// reading only where an older checkpoint could take the place of one that does not verify.
Check check_before_reading(const std::string& run) {
  return list_steps(checkpoints_folder(run)).size() > 1 ? Check::model : Check::structure;
}

ModelPath newest_of_run(const std::string& path) {
  Latest latest = find_latest(path, check_before_reading(path));
  CARAVAN_CHECK(
      !latest.skipped.empty() || latest.path, IoError,
      fmt::format("{} is no model (neither a Hugging Face folder with config.json, nor one of Meta's with "
                  "consolidated.00.pth, nor a checkpoint with {}, nor a run with step-… folders)",
                  path, kManifestFile));
  CARAVAN_CHECK(
      latest.path, IoError,
      fmt::format("no checkpoint of {} verifies (the newest: {})", path, latest.skipped.front().why));
  return {ModelPath::Kind::checkpoint, *latest.path, std::move(latest.skipped)};
}

}  // namespace

void check_one_model(const std::string& path) {
  struct Mark {
    const char *file, *other;
  };
  static constexpr std::array kMarks{Mark{kManifestFile, kCheckpointFile},
                                     Mark{"model.safetensors", "model.safetensors.index.json"},
                                     Mark{"consolidated.00.pth", "consolidated.01.pth"}};
  std::vector<std::string> found;
  for (const Mark& mark : kMarks) {
    if (holds(path, mark.file) || holds(path, mark.other))
      found.emplace_back(holds(path, mark.file) ? mark.file : mark.other);
  }
  CARAVAN_CHECK(found.size() < 2, IoError,
                fmt::format("{} holds two models ({} and {} are there). Move one of them away?", path,
                            found.front(), found.back()));
}

ModelPath resolve_model_path(const std::string& path) {
  CARAVAN_CHECK(fs::exists(path), IoError, fmt::format("{} does not exist", path));
  if (!fs::is_directory(path)) {
    const std::string parent = fs::path(path).parent_path().string();
    if (path.ends_with(".h5")) return {ModelPath::Kind::checkpoint, parent.empty() ? "." : parent, {}};
    CARAVAN_CHECK(path.ends_with(".safetensors"), IoError,
                  fmt::format("{} is no model (a file must end in .safetensors or .h5)", path));
    return {ModelPath::Kind::safetensors, path, {}};
  }
  if (holds(path, kManifestFile) || holds(path, kCheckpointFile))
    return {ModelPath::Kind::checkpoint, path, {}};
  const bool has_hf_weights = holds(path, "model.safetensors") || holds(path, "model.safetensors.index.json");
  if (is_meta_folder(path) && !has_hf_weights) return {ModelPath::Kind::meta_folder, path, {}};
  if (holds(path, "config.json")) return {ModelPath::Kind::hf_folder, path, {}};
  return newest_of_run(path);
}

}  // namespace caravan::io
