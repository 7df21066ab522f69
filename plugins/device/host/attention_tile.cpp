#include "attention_tile.hpp"

namespace caravan::host {

void add_transposed_rows(const float* rows, std::int64_t width, const ScoreTile& tile, float* to) {
  for (std::int64_t d = 0; d < width; d += kWidthBlock) {
    Block<kWidthBlock, kQueryVectors> sums;
    float* part = to + d * kQueries;
    load_block(sums, part, kQueries);
    multiply_add<kPanel / 2>(sums, tile.keys, {rows + d, 1, width}, {tile.data, tile.stride});
    store_block(sums, part, kQueries);
  }
}

namespace {

template <int Columns>
CARAVAN_INLINE void add_key_block(const float* tile, std::int64_t queries, const float* rows,
                                  std::int64_t width, float* to) {
  Block<kPanel, Columns> sums;
  load_block(sums, to, width);
  multiply_add<8>(sums, queries, {tile, kTileQueries, 1}, {rows, width});
  store_block(sums, to, width);
}

/// With a width that the compiler knows, twelve rows need one address instead of twelve: a tenth at width 16.
template <std::int64_t kWidth>
void add_key_rows_of(const ScoreTile& tile, std::int64_t queries, const float* rows, std::int64_t any_width,
                     float* to) {
  const std::int64_t width = kWidth > 0 ? kWidth : any_width;
  for (std::int64_t key = 0; key < tile.keys; key += kPanel, to += kPanel * width) {
    const float* panel = tile.data + key * kTileQueries;
    std::int64_t d = 0;
    for (; d + 2 * kLanes <= width; d += 2 * kLanes)
      add_key_block<2>(panel, queries, rows + d, width, to + d);
    if (d < width) add_key_block<1>(panel, queries, rows + d, width, to + d);
  }
}

}  // namespace

void add_key_rows(const ScoreTile& tile, std::int64_t queries, const float* rows, std::int64_t width,
                  float* to) {
  switch (width / kLanes) {
    case 1:
      return add_key_rows_of<kLanes>(tile, queries, rows, width, to);
    case 2:
      return add_key_rows_of<2 * kLanes>(tile, queries, rows, width, to);
    case 4:
      return add_key_rows_of<4 * kLanes>(tile, queries, rows, width, to);
    case 8:
      return add_key_rows_of<8 * kLanes>(tile, queries, rows, width, to);
    default:
      return add_key_rows_of<0>(tile, queries, rows, width, to);
  }
}

}  // namespace caravan::host
