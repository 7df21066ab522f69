#include "io/safetensors/set.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <set>

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

/// After the first of some names.
std::string and_more(const std::vector<std::string>& names) {
  return names.size() > 1 ? fmt::format(" and {} more", names.size() - 1) : "";
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
  const bool is_folder = fs::is_directory(path_);
  const std::string single = is_folder ? (fs::path(path_) / "model.safetensors").string() : path_;
  const std::string index = (fs::path(path_) / "model.safetensors.index.json").string();
  if (is_folder && !fs::exists(single)) {
    CARAVAN_CHECK(fs::exists(index), IoError,
                  fmt::format("{} has neither model.safetensors nor model.safetensors.index.json", path_));
    open_shards(index);
    return;
  }
  take(std::make_unique<SafetensorsFile>(single));
  if (is_folder && fs::exists(index))
    warnings_.push_back(
        fmt::format("{} stands beside {}; the single file is read, as in transformers", single, index));
}

void SafetensorsSet::open_shards(const std::string& index_path) {
  const auto shard_of = read_weight_map(index_path);
  std::set<std::string> shards;
  for (const auto& [name, shard] : shard_of) {
    check_shard_name(shard, index_path);
    shards.insert(shard);
  }
  for (const std::string& shard : shards) {
    const auto again = take(std::make_unique<SafetensorsFile>((fs::path(path_) / shard).string()));
    if (!again.empty())
      warnings_.push_back(
          fmt::format("{} holds '{}'{}, as a shard before it does; the last counts, as in transformers",
                      files_.back()->path(), again.front(), and_more(again)));
  }
  compare(shard_of, index_path);
}

/// The shards say what they hold; an index that says something else is said.
void SafetensorsSet::compare(const std::map<std::string, std::string>& shard_of,
                             const std::string& index_path) {
  std::vector<std::string> differ;
  for (const auto& [name, shard] : shard_of)
    if (!has(name) || fs::path(file_of(name).path()).filename() != shard) differ.push_back(name);
  for (const auto& [name, file] : file_index_)
    if (!shard_of.contains(name)) differ.push_back(name);
  if (differ.empty()) return;
  warnings_.push_back(fmt::format(
      "{} and the shards that it names disagree about '{}'{}; the shards count, as in transformers",
      index_path, differ.front(), and_more(differ)));
}

std::vector<std::string> SafetensorsSet::take(std::unique_ptr<SafetensorsFile> file) {
  std::vector<std::string> again;
  for (const SafetensorsInfo& info : file->tensors()) {
    const auto [place, is_new] = file_index_.emplace(info.name, files_.size());
    if (!is_new) again.push_back(info.name);
    place->second = files_.size();
  }
  files_.push_back(std::move(file));
  return again;
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
