#pragma once

#include "plugins/device/cuda/attention/attention_args.hpp"
#include "plugins/device/cuda/kernels/dtype.cuh"

// Pieces of the attention kernels: a block of 16 × 16 threads (tx, ty) works on tiles of N rows of heads,
// kept in shared memory as f32 with D columns and 4 of padding. A tile of keys lies in *seat order*: key j is
// in row seat(j) = (j mod N/16)·16 + j / (N/16), so that a thread that owns seats tx, tx + 16, … owns
// adjacent keys while its neighbours read adjacent rows, without bank conflicts.
namespace caravan::cuda {

inline constexpr int kSide = 16;
inline constexpr int kThreads = kSide * kSide;
inline constexpr int kPadding = 4;

enum class Order { natural, seats };

template <int N>
__device__ constexpr int seat_of(int row) {
  return row % (N / kSide) * kSide + row / (N / kSide);
}
template <int N>
__device__ constexpr int row_of(int seat) {
  return seat % kSide * (N / kSide) + seat / kSide;
}

template <class T>
__device__ const T* row_at(const HeadRows& rows, int b, std::int64_t row, int head) {
  return static_cast<const T*>(rows.data) + b * rows.batch + row * rows.row + head * rows.head;
}
template <class T>
__device__ T* writable_row_at(const HeadRows& rows, int b, std::int64_t row, int head) {
  return const_cast<T*>(row_at<T>(rows, b, row, head));
}

/// Columns [column, column + 4) of a row of `width`; zeros beyond it.
template <class T>
__device__ float4 load_four(const T* row, int column, int width, bool vectors) {
  if (vectors && column < width) {
    struct alignas(4 * sizeof(T)) Four {
      T x, y, z, w;
    };
    const Four four = *reinterpret_cast<const Four*>(row + column);
    return {to_float(four.x), to_float(four.y), to_float(four.z), to_float(four.w)};
  }
  float values[4] = {};
  for (int c = 0; c < 4; ++c) {
    if (column + c < width) values[c] = to_float(row[column + c]);
  }
  return {values[0], values[1], values[2], values[3]};
}

template <class T>
__device__ void store_four(T* row, int column, int width, float4 value) {
  const float values[4] = {value.x, value.y, value.z, value.w};
  for (int c = 0; c < 4; ++c) {
    if (column + c < width) row[column + c] = from_float<T>(values[c]);
  }
}

/// a + factor·b
__device__ inline float4 plus(float4 a, float4 b, float factor) {
  return {a.x + factor * b.x, a.y + factor * b.y, a.z + factor * b.z, a.w + factor * b.w};
}

/// Rows [first, first + N) of one head into shared memory; zeros beyond `rows`.
template <int N, int D, Order order, class T>
__device__ void load_tile(float* to, const T* from, std::int64_t row_stride, int rows,
                          const AttentionArgs& a) {
  for (int element = threadIdx.x * 4; element < N * D; element += kThreads * 4) {
    const int row = element / D, column = element % D;
    float4 value = {0, 0, 0, 0};
    if (row < rows) value = load_four(from + row * row_stride, column, a.width, a.vectors);
    const int at = order == Order::seats ? seat_of<N>(row) : row;
    *reinterpret_cast<float4*>(to + at * (D + kPadding) + column) = value;
  }
}

__device__ inline float dot(const float4& a, const float4& b, float sum) {
  return fmaf(a.w, b.w, fmaf(a.z, b.z, fmaf(a.y, b.y, fmaf(a.x, b.x, sum))));
}

/// sums[r][c] = row ty + 16r of `a` · row tx + 16c of `b`, over `width` columns.
template <int R, int C, int D>
__device__ void dot_tiles(const float* a, const float* b, int width, float (&sums)[R][C]) {
  const int tx = threadIdx.x % kSide, ty = threadIdx.x / kSide;
  for (auto& row : sums) {
    for (float& sum : row) sum = 0;
  }
#pragma unroll 2
  for (int d = 0; d < width; d += 4) {
    float4 left[R], right[C];
#pragma unroll
    for (int r = 0; r < R; ++r)
      left[r] = *reinterpret_cast<const float4*>(a + (ty + kSide * r) * (D + kPadding) + d);
#pragma unroll
    for (int c = 0; c < C; ++c)
      right[c] = *reinterpret_cast<const float4*>(b + (tx + kSide * c) * (D + kPadding) + d);
#pragma unroll
    for (int r = 0; r < R; ++r) {
#pragma unroll
      for (int c = 0; c < C; ++c) sums[r][c] = dot(left[r], right[c], sums[r][c]);
    }
  }
}

/// Where weight (row, k) of a product lies in a tile.
struct Steps {
  int row, k;
};

/// sums[r][c] += Σ_k weight(ty + 16r, k) · rows[k][4tx + 64c …], k over N rows.
template <int N, int D, int R>
__device__ void add_product(const float* weights, Steps steps, const float* rows, float4 (&sums)[R][D / 64]) {
  const int tx = threadIdx.x % kSide, ty = threadIdx.x / kSide;
#pragma unroll 4
  for (int k = 0; k < N; ++k) {
    float weight[R];
#pragma unroll
    for (int r = 0; r < R; ++r) weight[r] = weights[(ty + kSide * r) * steps.row + k * steps.k];
#pragma unroll
    for (int c = 0; c < D / 64; ++c) {
      const float4 x = *reinterpret_cast<const float4*>(rows + k * (D + kPadding) + 4 * tx + 64 * c);
#pragma unroll
      for (int r = 0; r < R; ++r) {
        float4& sum = sums[r][c];
        sum.x = fmaf(weight[r], x.x, sum.x), sum.y = fmaf(weight[r], x.y, sum.y);
        sum.z = fmaf(weight[r], x.z, sum.z), sum.w = fmaf(weight[r], x.w, sum.w);
      }
    }
  }
}

/// The thread's elements (ty + 16r, tx + 16c) into a tile of N × N, columns in seat order.
template <int N, int R, int C>
__device__ void put_tile(float* tile, const float (&values)[R][C]) {
  const int tx = threadIdx.x % kSide, ty = threadIdx.x / kSide;
#pragma unroll
  for (int r = 0; r < R; ++r) {
#pragma unroll
    for (int c = 0; c < C; ++c) tile[(ty + kSide * r) * (N + kPadding) + tx + kSide * c] = values[r][c];
  }
}

}  // namespace caravan::cuda
