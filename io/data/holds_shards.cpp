#include "io/data/holds_shards.hpp"

#include <algorithm>
#include <filesystem>

#include "io/data/shard_format.hpp"

namespace caravan::io {

bool holds_shards(const std::string& folder) {
  std::error_code error;
  const std::filesystem::directory_iterator files(folder, error);
  return std::any_of(begin(files), end(files), [](const auto& entry) {
    return count_in_shard_name(entry.path().filename().string()).has_value();
  });
}

}  // namespace caravan::io
