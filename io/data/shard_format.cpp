#include "io/data/shard_format.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kDigits = 5;
constexpr std::size_t kShardAt = 7, kCountAt = 16;  // of the digits in tokens-NNNNN-of-MMMMM.h5

std::optional<int> number_in(std::string_view name, std::size_t at) {
  int number = 0;
  for (char digit : name.substr(at, kDigits)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    number = number * 10 + (digit - '0');
  }
  return number;
}

}  // namespace

std::string shard_name(int shard, int shards) {
  return fmt::format("tokens-{:05}-of-{:05}.h5", shard, shards);
}

std::optional<int> count_in_shard_name(std::string_view name) {
  if (name.size() != shard_name(0, 0).size()) return std::nullopt;
  const auto shard = number_in(name, kShardAt), shards = number_in(name, kCountAt);
  if (!shard || !shards || name != shard_name(*shard, *shards)) return std::nullopt;
  return shards;
}

}  // namespace caravan::io
