#pragma once

#include "plugins/device/cuda/grouped/grouped_pipeline.cuh"

// How results leave a warp: through boxes of 16 rows of 128 bytes in shared memory that the copy engine
// moves, so that the warp goes on to its next tile meanwhile.
namespace caravan::cuda {

/// The part of a tile that a warp writes: 16 rows, and 16 more every 64 rows.
struct WarpTile {
  int matrix, row, column;  ///< of the output
  int rows_left, columns_left;

  __device__ hopper::Box box(int block, int first_column) const {
    return {column + first_column, row + 64 * block, matrix};
  }
};

/// The boxes of a warp, taken in turn; each is committed as a group of its own.
template <class R>
class Boxes {
 public:
  __device__ Boxes(const Ring<R>& ring, int warp)
      : base_(ring.staging(warp)), loaded_(ring.loaded(warp, 0)) {}

  __device__ std::uint32_t current() const { return base_ + put_ * kBoxBytes; }
  /// Until the current box may be written.
  __device__ void await_free() const {
    if (threadIdx.x % 32 == 0) hopper::wait_boxes_read<R::kBoxes - 1>();
    __syncwarp();
  }
  /// Until the current box holds the old values that were fetched for it.
  __device__ void await_old() {
    hopper::wait(loaded_ + 8 * put_, parities_ >> put_ & 1);
    parities_ ^= 1u << put_;
  }
  __device__ void advance() { put_ = after(put_); }

  /// By one lane, between tiles: the next fetch is for the current box, and all boxes may be written.
  __device__ void restart_fetching() {
    hopper::wait_boxes_read<0>();
    get_ = put_;
  }
  /// By one lane.
  __device__ void fetch(const CUtensorMap& map, hopper::Box at) {
    hopper::arrive_expecting(loaded_ + 8 * get_, kBoxBytes);
    hopper::load_box<1>(base_ + get_ * kBoxBytes, map, at, loaded_ + 8 * get_);
    get_ = after(get_);
  }

 private:
  __device__ static int after(int box) { return box + 1 == R::kBoxes ? 0 : box + 1; }

  std::uint32_t base_, loaded_;
  int put_ = 0, get_ = 0;
  unsigned parities_ = 0;  ///< a bit a box
};

/// The f32 boxes of a warp's part of a weight, in the order in which they are written: those side by side,
/// then those 64 rows below.
struct WeightTile {
  WarpTile to;
  int depth;            ///< of its sums
  int columns, blocks;  ///< boxes side by side, and below each other
  int column = 0, block = 0;
  float squares = 0;  ///< Σ of what the thread has written, squared

  /// Boxes that may still be leaving when the next fetch is begun. One lets more old values be on their way,
  /// which memory wants; with two the warp waits less, which counts when the products take longer than
  /// memory.
  __device__ int leaving() const { return depth >= 768 ? 2 : 1; }

  /// By one lane: fetches the old values of the next box, if there is one.
  template <class R>
  __device__ void fetch_next(Boxes<R>& boxes, const CUtensorMap& map) {
    if (block >= blocks) return;
    boxes.fetch(map, to.box(block, 32 * column));
    if (++column == columns) column = 0, ++block;
  }
  /// By one lane, after a box was sent: the same, into one that has left.
  template <class R>
  __device__ void refill(Boxes<R>& boxes, const CUtensorMap& map) {
    if (block >= blocks) return;
    if (leaving() == 1) {
      hopper::wait_boxes_read<1>();
    } else {
      hopper::wait_boxes_read<2>();
    }
    fetch_next(boxes, map);
  }
};

}  // namespace caravan::cuda
