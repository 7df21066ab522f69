#include "caravan/token_map.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "caravan/sharding.hpp"

namespace caravan {
namespace {

PositionRange block(std::int64_t length, int blocks, int index) {
  const AxisRange range = share_of_axis(length, blocks, index);
  return {range.begin, range.end};
}

}  // namespace

TokenMap TokenMap::whole(std::int64_t first_sample, std::int64_t length) {
  return {.first_sample = first_sample, .global_length = length, .first = {0, length}};
}

TokenMap TokenMap::piece(std::int64_t begin, std::int64_t length) {
  return {.global_length = begin + length, .first = {begin, begin + length}};
}

TokenMap TokenMap::context(std::int64_t first_sample, std::int64_t length, int ranks, int rank) {
  const int blocks = 2 * ranks;
  CARAVAN_CHECK(
      length >= blocks, ConfigError,
      fmt::format("sequences of {} tokens on {} context ranks (each has two blocks, and each block a "
                  "token). A longer train.sequence_length, or fewer ranks?",
                  length, ranks));
  TokenMap map{.first_sample = first_sample,
               .global_length = length,
               .first = block(length, blocks, rank),
               .second = block(length, blocks, blocks - 1 - rank)};
  if (map.first.end == map.second.begin) {
    map.first.end = map.second.end;
    map.second = {};
  }
  return map;
}

std::string problem_with(const TokenMap& map, std::int64_t table_rows) {
  if (map.length() < 1 || map.first.begin < 0)
    return fmt::format("sequences of {} tokens from position {} (need at least 1 and 0)", map.length(),
                       map.first.begin);
  if (map.positions() > table_rows)
    return fmt::format("position {} (the table of positions has {} rows)", map.positions() - 1, table_rows);
  return {};
}

}  // namespace caravan
