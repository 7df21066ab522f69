#pragma once

#include <cstdint>

#include "plugins/device/cuda/grouped/grouped_call.hpp"

namespace caravan::cuda {

/// Which operand the blocks of a cluster share: rows of A, when their tiles lie side by side, or columns of
/// B, when they lie below each other.
enum class Shared { a, b };

/// One tile of outputs. For Product::rows `row` counts from the group's first row, for Product::weights from
/// the first output of the group's weight.
struct Tile {
  int group;
  int first, count;  ///< rows of the group in the sorted buffer
  int row, column;
};

/// Where each unit of work lies, which every warp of every block works out from the offsets. A unit is one
/// tile, or kCluster neighbours that the blocks of a cluster take; units are numbered through all groups.
/// Within a group the numbers go down bands of kBand rows of units, so that the blocks that run together
/// share rows and columns in L2.
template <Product kProduct, int kRows, int kColumns, int kCluster, Shared kShared>
class TileWalk {
 public:
  /// Of the block `rank` of a cluster.
  __device__ TileWalk(const GroupedCall& call, int rank) : call_(call), rank_(rank) { open_group(); }

  /// Goes on to a unit, whose number is higher than the one before; false where there is none of this number.
  /// Its place in the group is left to place(): it takes two divisions that whoever leaves the tile to others
  /// saves.
  __device__ bool seek(int unit, Tile& tile) {
    while (unit >= group_end_) {
      if (++group_ >= call_.groups) return false;
      group_begin_ = group_end_;
      open_group();
    }
    tile.group = group_;
    tile.first = first_;
    tile.count = count_;
    current_ = unit - group_begin_;
    return true;
  }
  /// Units of all groups, from the first one on.
  __device__ int count_units() {
    Tile tile;
    seek(0x7fffffff, tile);
    return units();
  }
  /// How many there are, once seek() has found none.
  __device__ int units() const { return group_end_; }
  /// Row and column of the tile that seek() has come to.
  __device__ void place(Tile& tile) const {
    const int in_band = kBand * columns(), band = current_ / in_band, rest = current_ - band * in_band;
    const int band_rows = min(kBand, rows_ - band * kBand), column = rest / band_rows;
    const int row = band * kBand + rest - column * band_rows;
    tile.row = row * kUnitRows + (kDown ? rank_ * kRows : 0);
    tile.column = column * kUnitColumns + (kDown ? 0 : rank_ * kColumns);
  }

 private:
  static constexpr bool kOfRows = kProduct == Product::rows;
  static constexpr bool kDown = kShared == Shared::b;
  static constexpr int kUnitRows = kDown ? kRows * kCluster : kRows;
  static constexpr int kBand = 2048 / kUnitRows;
  static constexpr int kUnitColumns = kDown ? kColumns : kColumns * kCluster;

  __device__ static int ceil_div(int a, int b) { return (a + b - 1) / b; }
  __device__ int offset(int group) const {
    if (call_.offsets == nullptr) return group == 0 ? 0 : call_.rows;
    return min(max(__ldg(call_.offsets + group), 0), call_.rows);
  }
  __device__ int columns() const { return ceil_div(call_.columns, kUnitColumns); }

  __device__ void open_group() {
    first_ = offset(group_);
    count_ = max(offset(group_ + 1) - first_, 0);
    rows_ = ceil_div(kOfRows ? count_ : call_.out_rows, kUnitRows);
    const bool written = count_ > 0 || (!kOfRows && call_.accumulate == Accumulate::replace);
    group_end_ = group_begin_ + (written ? rows_ * columns() : 0);
  }

  const GroupedCall& call_;
  int rank_;
  int group_ = 0, group_begin_ = 0, group_end_ = 0;
  int current_ = 0;  ///< unit of the group
  int first_ = 0, count_ = 0, rows_ = 0;
};

}  // namespace caravan::cuda
