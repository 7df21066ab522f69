#pragma once

#include "plugins/device/cuda/grouped/grouped_boxes.cuh"
#include "plugins/device/cuda/kernels/dtype.cuh"

// What a consumer warp does with its sums: 16 rows of each block of 64.
namespace caravan::cuda {

__device__ inline uint4 load_shared_16(std::uint32_t from) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(from)
               : "memory");
  return v;
}

__device__ inline float2 load_shared_8(std::uint32_t from) {
  float2 v;
  asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(v.x), "=f"(v.y) : "r"(from) : "memory");
  return v;
}

__device__ inline void store_shared_8(std::uint32_t to, float2 v) {
  asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(to), "f"(v.x), "f"(v.y) : "memory");
}

__device__ inline std::uint32_t pack(float low, float high) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&both);
}

/// 8 neighbouring bf16 to global memory, or the `count` of them that exist.
__device__ inline void store_8(bf16* to, const uint4& eight, int count) {
  if (count >= 8) {
    *reinterpret_cast<uint4*>(to) = eight;
    return;
  }
  const std::uint32_t words[4] = {eight.x, eight.y, eight.z, eight.w};
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const auto bits = static_cast<unsigned short>(words[i / 2] >> (16 * (i % 2)));
    if (i < count) to[i] = __ushort_as_bfloat16(bits);
  }
}

/// The rows of a box of bf16 that exist, by ordinary stores: the rows after them belong to another group.
__device__ inline void store_rows(std::uint32_t box, bf16* out, std::int64_t stride, int rows, int columns) {
  const int lane = threadIdx.x % 32, chunk = lane % 8;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int row = 4 * i + lane / 8;
    const uint4 eight = load_shared_16(box + row * 128 + (chunk ^ (row & 7)) * 16);
    if (row < rows && 8 * chunk < columns)
      store_8(out + row * stride + 8 * chunk, eight, columns - 8 * chunk);
  }
}

/// 64 columns at a time. Chunks of 16 bytes are swapped by row, as the copy engine has them and so that there
/// are no bank conflicts.
template <class R, int kSums>
__device__ void store_bf16(const float (&d)[kSums], const GroupedMaps& maps, const GroupedCall& call,
                           const WarpTile& to, Boxes<R>& boxes) {
  const int lane = threadIdx.x % 32, row = lane % 16;
  bf16* out = static_cast<bf16*>(call.out) + to.row * call.out_stride + to.column;
#pragma unroll
  for (int part = 0; part < kSums / 32; ++part) {
    if (64 * part >= to.columns_left) break;
    boxes.await_free();
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float* from = d + 4 * (8 * part + 2 * i);
      hopper::store_matrices(
          boxes.current() + row * 128 + ((2 * i + lane / 16) ^ (row & 7)) * 16,
          {pack(from[0], from[1]), pack(from[2], from[3]), pack(from[4], from[5]), pack(from[6], from[7])});
    }
    hopper::fence_async();
    __syncwarp();
    if (to.rows_left >= 16) {
      if (lane == 0) hopper::store_box(maps.out, to.box(0, 64 * part), boxes.current());
    } else {
      store_rows(boxes.current(), out + 64 * part, call.out_stride, to.rows_left,
                 to.columns_left - 64 * part);
      __syncwarp();
    }
    if (lane == 0) hopper::commit_boxes();
    boxes.advance();
  }
}

/// Straight from the registers; an even number of columns on 8-byte boundaries.
template <int kSums>
__device__ void store_f32(const float (&d)[kSums], const GroupedCall& call, const WarpTile& to) {
  const int lane = threadIdx.x % 32, row = lane / 4;
  float* out = static_cast<float*>(call.out) + (to.row + row) * call.out_stride + to.column;
#pragma unroll
  for (int i = 0; i < kSums / 4; ++i) {
    const int column = 8 * i + 2 * (lane % 4);
    if (column >= to.columns_left) continue;
    if (row < to.rows_left) *reinterpret_cast<float2*>(out + column) = {d[4 * i], d[4 * i + 1]};
    if (row + 8 < to.rows_left) {
      *reinterpret_cast<float2*>(out + 8 * call.out_stride + column) = {d[4 * i + 2], d[4 * i + 3]};
    }
  }
}

/// The 32 columns of sums from d[first] on into a box, or with Accumulate::add onto it. Odd rows take the
/// chunks in another order, so that 16 lanes meet all banks. `zero`: there are no sums.
template <Accumulate kMode, int kSums>
__device__ float fill_f32(const float (&d)[kSums], int first, std::uint32_t box, bool zero) {
  const int lane = threadIdx.x % 32, row = lane / 4, odd = row % 2;
  float squares = 0;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    std::uint32_t at[4];
    float2 old[4] = {};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int chunk = (2 * (odd ? i ^ 2 : i) + lane % 4 / 2) ^ row;
      at[i] = box + (row + 8 * half) * 128 + chunk * 16 + lane % 2 * 8;
      if constexpr (kMode == Accumulate::add) old[i] = load_shared_8(at[i]);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int even_at = first + 4 * i + 2 * half, odd_at = first + 4 * (i ^ 2) + 2 * half;
      const float2 sum{odd ? d[odd_at] : d[even_at], odd ? d[odd_at + 1] : d[even_at + 1]};
      const float2 value = zero                       ? float2{}
                           : kMode == Accumulate::add ? float2{old[i].x + sum.x, old[i].y + sum.y}
                                                      : sum;
      squares += value.x * value.x + value.y * value.y;
      store_shared_8(at[i], value);
    }
  }
  hopper::fence_async();
  __syncwarp();
  return squares;
}

/// The sums of a block of 64 rows to an f32 matrix, 32 columns at a time. With Accumulate::add the old values
/// come through the same boxes: read and added here, because the adders of the L2 are slower than memory.
template <class R, Accumulate kMode>
__device__ void store_weights(const typename R::Sums& d, int block, const CUtensorMap& map, WeightTile& tile,
                              Boxes<R>& boxes) {
  constexpr bool kAdds = kMode == Accumulate::add;
#pragma unroll
  for (int box = 0; box < R::kTileColumns / 32; ++box) {
    if (32 * box >= tile.to.columns_left) break;
    if constexpr (kAdds) {
      boxes.await_old();
    } else {
      boxes.await_free();
    }
    tile.squares += fill_f32<kMode>(d[block], 16 * box, boxes.current(), tile.depth == 0);
    if (threadIdx.x % 32 == 0) {
      hopper::store_box(map, tile.to.box(block, 32 * box), boxes.current());
      hopper::commit_boxes();
      if constexpr (kAdds) tile.refill(boxes, map);
    }
    boxes.advance();
  }
}

}  // namespace caravan::cuda
