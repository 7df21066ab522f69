#include "jobs/setup/model_files.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

#include "io/checkpoint/catalogue.hpp"
#include "io/safetensors/set.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

/// Of checkpoints, configurations, tokenizers, metrics and jobs; safetensors are asked for.
bool is_read(const fs::path& file) {
  static constexpr std::array<std::string_view, 5> kRead{".h5", ".json", ".jsonl", ".model", ".yaml"};
  return std::find(kRead.begin(), kRead.end(), file.extension().string()) != kRead.end();
}

bool has_weights(const fs::path& folder) {
  return fs::exists(folder / "model.safetensors") || fs::exists(folder / "model.safetensors.index.json");
}

void add_folder(const std::string& name, const fs::path& folder, std::vector<io::NamedFile>& files) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (is_read(entry.path())) files.push_back({name, entry.path().string()});
  }
}

}  // namespace

void add_model_files(const std::string& name, const std::string& path, std::vector<io::NamedFile>& files) {
  files.push_back({name, path});
  add_folder(name, path, files);
  for (const std::string& step : io::newest_first(path)) add_folder(name, step, files);
  if (!has_weights(path)) return;
  const io::SafetensorsSet set(path);
  for (const auto& shard : set.files()) files.push_back({name, shard->path()});
}

}  // namespace caravan::jobs
