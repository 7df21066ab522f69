#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/safetensors/reader.hpp"

namespace caravan::io {

/// The tensors of a folder: model.safetensors, or else the shards that model.safetensors.index.json names; or
/// of one file. Where files disagree (a single file beside an index; an index that misplaces tensors; a
/// tensor in two shards) it is read as transformers reads it. IoError when a shard is missing or its name
/// leaves the folder.
class SafetensorsSet {
 public:
  explicit SafetensorsSet(const std::string& folder_or_file);

  const std::string& path() const noexcept { return path_; }
  std::vector<std::string> names() const;  ///< sorted
  bool has(std::string_view name) const noexcept;
  /// The file that holds the tensor; IoError when none does.
  const SafetensorsFile& file_of(std::string_view name) const;
  const SafetensorsInfo& info(std::string_view name) const { return file_of(name).info(name); }
  /// See SafetensorsFile; a place is read from `file_of(name)`.
  TensorView place(std::string_view name) const { return file_of(name).place(name); }
  const std::vector<std::unique_ptr<SafetensorsFile>>& files() const noexcept { return files_; }
  /// Files that disagree, one sentence each: both, and which counts.
  const std::vector<std::string>& warnings() const noexcept { return warnings_; }

 private:
  void open_shards(const std::string& index_path);
  void compare(const std::map<std::string, std::string>& shard_of, const std::string& index_path);
  /// Returns the names that an earlier file holds too.
  std::vector<std::string> take(std::unique_ptr<SafetensorsFile> file);

  std::string path_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, std::size_t, std::less<>> file_index_;
  std::vector<std::string> warnings_;
};

}  // namespace caravan::io
