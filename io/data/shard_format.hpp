#pragma once

#include "io/data/token_type.hpp"

#include <fmt/format.h>
#include <hdf5.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace caravan::io {

inline constexpr std::string_view kShardFormat = "caravan token shard";
inline constexpr std::int64_t kShardVersion = 1;
inline constexpr std::int64_t kMostTokens = std::int64_t{1} << 60;
inline constexpr std::size_t kMostShards = 99'999;  // five digits in a name

std::string shard_name(int shard, int shards);

/// M of a name tokens-NNNNN-of-MMMMM.h5; nothing for other names.
std::optional<int> count_in_shard_name(std::string_view name);

inline hid_t hdf5_type(TokenType type) {
  return type == TokenType::u16 ? H5T_STD_U16LE : H5T_STD_I32LE;
}

}  // namespace caravan::io
