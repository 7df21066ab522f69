#include "io/safetensors/set.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <filesystem>

#include "io/files/strict_json.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostIndexBytes = 100'000'000;

/// tensor name → shard's file name
std::map<std::string, std::string> read_weight_map(const std::string& index_path) {
  const auto parsed = parse_json_strict(read_text(index_path, kMostIndexBytes), index_path);
  const auto weights = parsed.is_object() ? parsed.find("weight_map") : parsed.end();
  CARAVAN_CHECK(weights != parsed.end() && weights->is_object() && !weights->empty(), IoError,
                fmt::format("{} has no weight_map", index_path));
  std::map<std::string, std::string> shard_of;
  for (const auto& [name, shard] : weights->items()) {
    CARAVAN_CHECK(shard.is_string(), IoError,
                  fmt::format("{}: the shard of '{}' is not text", index_path, name));
    shard_of.emplace(name, shard.get<std::string>());
  }
  return shard_of;
}

void check_shard_name(const std::string& shard, const std::string& index_path) {
  const bool plain = !shard.empty() && shard != "." && shard != ".." &&
                     shard.find_first_of(std::string("/\\\0", 3)) == std::string::npos;
  CARAVAN_CHECK(plain, IoError,
                fmt::format("{} names the shard '{}' (only a file name in the same folder is allowed)",
                            index_path, shard));
}

}  // namespace

SafetensorsSet::SafetensorsSet(const std::string& folder_or_file) : path_(folder_or_file) {
  const std::string index = (fs::path(path_) / "model.safetensors.index.json").string();
  if (fs::exists(index)) {
    open_shards(index);
    return;
  }
  const bool is_folder = fs::is_directory(path_);
  const std::string single = is_folder ? (fs::path(path_) / "model.safetensors").string() : path_;
  CARAVAN_CHECK(!is_folder || fs::exists(single), IoError,
                fmt::format("{} has neither model.safetensors nor model.safetensors.index.json", path_));
  take(std::make_unique<SafetensorsFile>(single));
}

void SafetensorsSet::open_shards(const std::string& index_path) {
  const auto shard_of = read_weight_map(index_path);
  std::map<std::string, std::size_t> opened;
  for (const auto& [name, shard] : shard_of) {
    if (!opened.contains(shard)) {
      check_shard_name(shard, index_path);
      opened.emplace(shard, files_.size());
      take(std::make_unique<SafetensorsFile>((fs::path(path_) / shard).string()));
    }
    CARAVAN_CHECK(files_[opened.at(shard)]->has(name), IoError,
                  fmt::format("{} places '{}' in {}, which does not hold it", index_path, name, shard));
  }
  for (const auto& [name, file] : file_index_) {
    CARAVAN_CHECK(
        shard_of.contains(name), IoError,
        fmt::format("{} does not list '{}', which {} holds", index_path, name, files_[file]->path()));
  }
}

void SafetensorsSet::take(std::unique_ptr<SafetensorsFile> file) {
  for (const SafetensorsInfo& info : file->tensors()) {
    const auto [other, is_new] = file_index_.emplace(info.name, files_.size());
    CARAVAN_CHECK(is_new, IoError,
                  fmt::format("tensor '{}' stands in {} and in {}", info.name, files_[other->second]->path(),
                              file->path()));
  }
  files_.push_back(std::move(file));
}

std::vector<std::string> SafetensorsSet::names() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : file_index_) names.push_back(name);
  return names;
}

bool SafetensorsSet::has(std::string_view name) const noexcept {
  return file_index_.find(name) != file_index_.end();
}

const SafetensorsFile& SafetensorsSet::file_of(std::string_view name) const {
  const auto found = file_index_.find(name);
  CARAVAN_CHECK(found != file_index_.end(), IoError, fmt::format("{} has no tensor '{}'", path_, name));
  return *files_[found->second];
}

}  // namespace caravan::io
