#pragma once

#include "dtype.cuh"
#include "grouped_pipeline.cuh"

// What a consumer warp does with its 16 × 256 sums.
namespace caravan::cuda {

/// The part of a tile that a warp writes.
struct WarpTile {
  int matrix, row, column;  ///< of the output
  int rows_left, columns_left;
};

inline constexpr int kBoxBytes = 16 * 32 * static_cast<int>(sizeof(float));

__device__ inline uint4 load_shared_16(std::uint32_t from) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(from)
               : "memory");
  return v;
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

/// Through 4 KiB of shared memory, 16 rows of 128 columns at a time, so that rows go out 256 bytes together.
/// Chunks of 16 bytes are swapped by row, which keeps both sides free of bank conflicts.
__device__ inline void store_bf16(const float (&d)[128], const GroupedCall& call, const WarpTile& to,
                                  std::uint32_t staging) {
  const int lane = threadIdx.x % 32;
  const int put_row = lane % 16, put_chunk = lane / 16;
  bf16* out = static_cast<bf16*>(call.out) + to.row * call.out_stride + to.column;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float* from = d + 4 * (16 * half + 2 * i);
      const int chunk = (2 * i + put_chunk) ^ (put_row & 7);
      hopper::store_matrices(
          staging + put_row * 256 + chunk * 16,
          {pack(from[0], from[1]), pack(from[2], from[3]), pack(from[4], from[5]), pack(from[6], from[7])});
    }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int row = 2 * i + lane / 16, chunk = lane % 16, column = 128 * half + 8 * chunk;
      const uint4 eight = load_shared_16(staging + row * 256 + (chunk ^ (row & 7)) * 16);
      if (row < to.rows_left && column < to.columns_left) {
        store_8(out + row * call.out_stride + column, eight, to.columns_left - column);
      }
    }
    __syncwarp();
  }
}

/// Straight from the registers; an even number of columns on 8-byte boundaries.
__device__ inline void store_f32(const float (&d)[128], const GroupedCall& call, const WarpTile& to) {
  const int lane = threadIdx.x % 32, row = lane / 4;
  float* out = static_cast<float*>(call.out) + (to.row + row) * call.out_stride + to.column;
#pragma unroll
  for (int i = 0; i < 32; ++i) {
    const int column = 8 * i + 2 * (lane % 4);
    if (column >= to.columns_left) continue;
    if (row < to.rows_left) *reinterpret_cast<float2*>(out + column) = {d[4 * i], d[4 * i + 1]};
    if (row + 8 < to.rows_left) {
      *reinterpret_cast<float2*>(out + 8 * call.out_stride + column) = {d[4 * i + 2], d[4 * i + 3]};
    }
  }
}

/// Adds to an f32 matrix by the copy engine, 32 columns at a time through boxes of 2 KiB: the sum is made in
/// L2, and the warp goes on to its next tile meanwhile. Every element gets one addend a call, so the result
/// does not depend on the order. `next` is the box to use, kept from tile to tile: it is free when all but
/// the last kBoxes − 1 have been read.
template <int kBoxes>
__device__ void add_f32(const float (&d)[128], const CUtensorMap& map, const WarpTile& to,
                        std::uint32_t staging, int& next) {
  const int lane = threadIdx.x % 32, row = lane / 4;
#pragma unroll
  for (int box = 0; box < 8; ++box) {
    if (32 * box >= to.columns_left) break;
    const std::uint32_t shared = staging + next * kBoxBytes;
    next = next + 1 == kBoxes ? 0 : next + 1;
    if (lane == 0) hopper::wait_boxes_read<kBoxes - 1>();
    __syncwarp();
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float* from = d + 4 * (4 * box + i);
      const int chunk = (2 * i + lane % 4 / 2) ^ row;
      const std::uint32_t at = shared + row * 128 + chunk * 16 + lane % 2 * 8;
      asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(at), "f"(from[0]), "f"(from[1]) : "memory");
      asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(at + 8 * 128), "f"(from[2]), "f"(from[3])
                   : "memory");
    }
    hopper::fence_async();
    __syncwarp();
    if (lane == 0) {
      hopper::add_box(map, {to.column + 32 * box, to.row, to.matrix}, shared);
      hopper::commit_boxes();
    }
  }
}

}  // namespace caravan::cuda
