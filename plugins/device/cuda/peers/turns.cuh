#pragma once

#include <algorithm>
#include <cstdint>

#include "caravan/ops/peers.hpp"

// In which order rows travel, see RowParts: each row finds its own turn.
namespace caravan::cuda {

/// Of so many rows between two ranks, those that are in earlier parts.
__device__ inline int rows_before(int part, int rows) {
  constexpr std::int64_t kParts = kRowParts;
  return static_cast<int>((part * std::int64_t{rows} + kParts - 1) / kParts);
}

/// rows_with(other): between this rank and another, none with itself.
template <class RowsWith>
struct Turns {
  int ranks;
  RowsWith rows_with;

  /// Of all rows that are in earlier parts.
  __device__ int before(int part) const {
    int turn = 0;
    for (int other = 0; other < ranks; ++other) turn += rows_before(part, rows_with(other));
    return turn;
  }
  /// Of the k-th row between this rank and `with`.
  __device__ int of(int with, int k) const {
    const int rows = rows_with(with), part = static_cast<int>(std::int64_t{k} * kRowParts / rows),
              round = k - rows_before(part, rows);
    int turn = before(part);
    for (int other = 0; other < ranks; ++other) {
      const int theirs = rows_with(other),
                in_part = rows_before(part + 1, theirs) - rows_before(part, theirs);
      turn += min(in_part, round + (other < with ? 1 : 0));
    }
    return turn;
  }
};
template <class RowsWith>
Turns(int, RowsWith) -> Turns<RowsWith>;

/// Where turns are written, or nowhere.
struct TurnList {
  std::int32_t *order = nullptr, *ends = nullptr;
  int most = 0;

  __device__ void put(int turn, int row) const {
    if (turn >= 0 && turn < most) order[turn] = row;
  }
  /// Of thread `first` of `step`: where parts end, and −1 behind the last row.
  template <class All>
  __device__ void close(const All& turns, int first, int step) const {
    for (int part = first; ends != nullptr && part < kRowParts; part += step)
      ends[part] = turns.before(part + 1);
    for (int turn = turns.before(kRowParts) + first; turn < most; turn += step) put(turn, -1);
  }
};

}  // namespace caravan::cuda
