#pragma once

#include "plugins/device/cuda/grouped/grouped_store.cuh"
#include "plugins/device/cuda/kernels/swiglu.cuh"

// What a consumer warp does with its sums where SwiGLU follows or precedes the product: gate and up of a
// column lie in the two halves of a row, which the copy engine sees as two matrices.
namespace caravan::cuda {

/// Where a box of bf16 goes: `rows` is its first element, for the rows that the copy engine must not write.
struct BoxPlace {
  hopper::Box at;
  bf16* rows;
  std::int64_t stride;
  int rows_left, columns_left;
};

/// Sends the current box, which has been filled. Does not commit.
template <class R>
__device__ void send_box(const CUtensorMap& map, const BoxPlace& to, std::uint32_t box) {
  if (to.rows_left >= 16) {
    if (threadIdx.x % 32 == 0) hopper::store_box(map, to.at, box);
    return;
  }
  store_rows(box, to.rows, to.stride, to.rows_left, to.columns_left);
  __syncwarp();
}

/// 16 rows of 64 columns, the i-th of a thread's 32 values being value(i).
template <class R, class Value>
__device__ void store_box(const CUtensorMap& map, const BoxPlace& to, Boxes<R>& boxes, const Value& value) {
  const int lane = threadIdx.x % 32, row = lane % 16;
  boxes.await_free();
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    hopper::store_matrices(
        boxes.current() + row * 128 + ((2 * i + lane / 16) ^ (row & 7)) * 16,
        {pack(value(8 * i), value(8 * i + 1)), pack(value(8 * i + 2), value(8 * i + 3)),
         pack(value(8 * i + 4), value(8 * i + 5)), pack(value(8 * i + 6), value(8 * i + 7))});
  }
  hopper::fence_async();
  __syncwarp();
  send_box<R>(map, to, boxes.current());
  if (threadIdx.x % 32 == 0) hopper::commit_boxes();
  boxes.advance();
}

/// As it is stored.
__device__ inline float rounded(float x) {
  return __bfloat162float(__float2bfloat16_rn(x));
}

/// A block of 64 rows whose sums are 64 columns of gates and the same of ups: both, and what SwiGLU makes of
/// them.
template <class R, int kSums>
__device__ void store_gate_up(const float (&d)[kSums], const GroupedMaps& maps, const GroupedCall& call,
                              const WarpTile& to, Boxes<R>& boxes) {
  constexpr int kHalf = kSums / 2;
  bf16* pre = static_cast<bf16*>(call.out) + to.row * call.out_stride + to.column;
  bf16* activated = static_cast<bf16*>(call.swiglu) + to.row * call.swiglu_stride + to.column;
  const auto place = [&](int matrix, bf16* rows, std::int64_t stride) {
    return BoxPlace{{to.column, to.row, matrix}, rows, stride, to.rows_left, to.columns_left};
  };
  store_box(maps.out, place(0, pre, call.out_stride), boxes, [&](int i) { return d[i]; });
  store_box(maps.out, place(1, pre + call.columns, call.out_stride), boxes,
            [&](int i) { return d[kHalf + i]; });
  store_box(maps.swiglu, place(0, activated, call.swiglu_stride), boxes,
            [&](int i) { return swiglu(rounded(d[i]), rounded(d[kHalf + i])); });
}

/// The gates and ups of a warp's part of a tile, fetched 64 columns at a time: a box of each.
struct PreTile {
  WarpTile to;
  int parts, blocks;  ///< side by side, and below each other
  int part = 0, block = 0;

  /// By one lane: fetches the next pair of boxes, if there is one.
  template <class R>
  __device__ void fetch_next(Boxes<R>& boxes, const CUtensorMap& map) {
    if (block >= blocks) return;
    for (int half = 0; half < 2; ++half) boxes.fetch(map, {to.column + 64 * part, to.row + 64 * block, half});
    if (++part == parts) part = 0, ++block;
  }
};

__device__ inline float2 unpack(std::uint32_t word) {
  return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(&word));
}

/// Two neighbouring elements of each: gates and ups become their gradients.
__device__ inline void turn_to_gradients(std::uint32_t& gates, std::uint32_t& ups, float low_dy,
                                         float high_dy) {
  const float2 gate = unpack(gates), up = unpack(ups);
  const SwigluGradient low = swiglu_gradient(gate.x, up.x, low_dy),
                       high = swiglu_gradient(gate.y, up.y, high_dy);
  gates = pack(low.gate, high.gate);
  ups = pack(low.up, high.up);
}

/// What a thread holds of a pair of boxes. All is read before anything is written: each scheduler has one
/// warp that does this, so that only its own instructions hide a wait.
class BoxPair {
 public:
  __device__ BoxPair(std::uint32_t gates, std::uint32_t ups) : gates_(gates), ups_(ups) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      hopper::load_matrices(gate_[i], gates + place(i));
      hopper::load_matrices(up_[i], ups + place(i));
    }
  }
  /// The boxes become those of the gradients; `dy`: a thread's 32 sums.
  __device__ void turn_to_gradients(const float* dy) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int k = 0; k < 4; ++k)
        cuda::turn_to_gradients(gate_[i][k], up_[i][k], dy[8 * i + 2 * k], dy[8 * i + 2 * k + 1]);
      hopper::store_matrices(gates_ + place(i), gate_[i]);
      hopper::store_matrices(ups_ + place(i), up_[i]);
    }
    hopper::fence_async();
    __syncwarp();
  }

 private:
  __device__ static std::uint32_t place(int i) {
    const int lane = threadIdx.x % 32, row = lane % 16;
    return row * 128 + ((2 * i + lane / 16) ^ (row & 7)) * 16;
  }

  std::uint32_t gates_, ups_;
  std::uint32_t gate_[4][4], up_[4][4];
};

/// A block of 64 rows whose sums are gradients of SwiGLU's output.
template <class R, int kSums>
__device__ void store_pre_gradient(const float (&d)[kSums], int block, const GroupedMaps& maps,
                                   const GroupedCall& call, PreTile& tile, Boxes<R>& boxes) {
  const int row = tile.to.row + 64 * block, rows_left = tile.to.rows_left - 64 * block;
#pragma unroll
  for (int part = 0; part < kSums / 32; ++part) {
    const int column = tile.to.column + 64 * part, columns_left = tile.to.columns_left - 64 * part;
    if (columns_left <= 0) break;
    const std::uint32_t gates = boxes.current();
    boxes.await_old();
    boxes.advance();
    const std::uint32_t ups = boxes.current();
    boxes.await_old();
    boxes.advance();
    BoxPair pair(gates, ups);
    if (block + part > 0 && threadIdx.x % 32 == 0) {
      hopper::wait_boxes_read<0>();
      tile.fetch_next(boxes, maps.swiglu);
    }
    __syncwarp();
    pair.turn_to_gradients(d + 32 * part);
    bf16* out = static_cast<bf16*>(call.out) + row * call.out_stride + column;
    send_box<R>(maps.out, {{column, row, 0}, out, call.out_stride, rows_left, columns_left}, gates);
    send_box<R>(maps.out, {{column, row, 1}, out + call.columns, call.out_stride, rows_left, columns_left},
                ups);
    if (threadIdx.x % 32 == 0) hopper::commit_boxes();
  }
}

}  // namespace caravan::cuda
