#include "jobs/outputs.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>

#include "caravan/check.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/run_lock.hpp"
#include "io/data/shard_manifest.hpp"
#include "jobs/identity/run_folder.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

template <class Names>
bool is_one_of(const Names& names, const std::string& name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

/// Why no output may have this name in this folder; empty: it may.
std::string why_kept(const fs::path& folder, const std::string& name) {
  static const std::string kOfARun[] = {"job.yaml",      "metrics.jsonl",  "metrics.csv",
                                        "samples.jsonl", "heartbeat.json", io::kGenerationFile};
  if (fs::exists(folder / io::kManifestFile)) return "a checkpoint's folder, whose files its manifest names";
  if (fs::exists(folder / io::kGenerationFile) &&
      (is_one_of(kOfARun, name) || is_one_of(kTokenizerFiles, name)))
    return "a run's folder, which keeps a file of this name";
  const bool is_of_shards = name == io::kShardManifestFile || fs::path(name).extension() == ".h5" ||
                            is_one_of(kTokenizerFiles, name);
  if (fs::exists(folder / io::kShardManifestFile) && is_of_shards)
    return "a folder of token shards, which need their own tokenizer and files";
  return "";
}

/// What `folder` is, where no run may be; empty: it may.
std::string why_no_run(const fs::path& folder) {
  if (fs::exists(folder / io::kManifestFile)) return "a checkpoint";
  if (fs::exists(folder / io::kShardManifestFile)) return "a folder of token shards";
  const bool is_of_run = folder.filename() == "checkpoints" || folder.filename() == "export";
  if (is_of_run && fs::exists(folder.parent_path() / io::kGenerationFile))
    return fmt::format("the {} of the run {}", folder.filename().string(), folder.parent_path().string());
  return "";
}

void check_writable(const std::string& output, fs::path folder) {
  while (!fs::exists(folder)) folder = folder.parent_path();
  CARAVAN_CHECK(fs::is_directory(folder), IoError,
                fmt::format("the output {} cannot be made ({} is no folder). Another output?", output,
                            folder.string()));
  CARAVAN_CHECK(::access(folder.c_str(), W_OK | X_OK) == 0, IoError,
                fmt::format("the output {} cannot be written ({}: {}). Another output?", output,
                            folder.string(), std::strerror(errno)));
}

}  // namespace

void check_run_output(const std::string& output) {
  const fs::path path = fs::weakly_canonical(fs::absolute(output));
  for (fs::path folder = path;; folder = folder.parent_path()) {
    const std::string why = why_no_run(folder);
    CARAVAN_CHECK(
        why.empty(), ConfigError,
        fmt::format("output={} would stand in {} ({}). Another folder?", output, folder.string(), why));
    if (folder == folder.parent_path()) break;
  }
  check_writable(output, path);
  const fs::path checkpoints = path / "checkpoints";
  if (fs::exists(checkpoints)) check_writable(output, checkpoints);
}

void check_user_outputs(const std::vector<io::NamedFile>& outputs, const std::vector<io::NamedFile>& inputs) {
  io::check_outputs(outputs, inputs);
  for (const io::NamedFile& output : outputs) {
    if (output.path.empty()) continue;
    const fs::path path = fs::absolute(io::find_target(output.path).path);
    const std::string why = why_kept(path.parent_path(), path.filename().string());
    CARAVAN_CHECK(why.empty(), ConfigError,
                  fmt::format("{} {} would stand in {} ({}). Another folder?", output.name, output.path,
                              path.parent_path().string(), why));
  }
}

}  // namespace caravan::jobs
