#pragma once

#include <cstdint>

#include "plugins/device/cuda/kernels/vec.cuh"

// How threads share a head of queries or keys: kLanes neighbouring lanes hold kPieces of eight elements each,
// four pairs that are rotated. Both layouts have the same functions; head and table are those of one token.
namespace caravan::cuda {

inline constexpr int kHeld = 8;

/// Neighbouring elements, 16 bytes an access: head widths that are multiples of 8.
template <int kLanesOfHead, int kCount>
struct WidePieces {
  static constexpr int kLanes = kLanesOfHead, kPieces = kCount;

  static __device__ int column(int lane, int k) { return (k * kLanes + lane) * kHeld; }
  static __device__ bool has(int lane, int k, int width) { return column(lane, k) < width; }
  /// Where has() is false, of the last elements: without branches all loads go out together.
  template <class T>
  static __device__ Raw<T, kHeld> read(const T* head, int lane, int k, int width) {
    return load_raw<kHeld>(head + min(column(lane, k), width - kHeld));
  }
  static __device__ Floats<kHeld / 2> angles(const float* table, int lane, int k, int width) {
    return load<kHeld / 2>(table + min(column(lane, k), width - kHeld) / 2);
  }
  template <class T>
  static __device__ void write(T* head, int lane, int k, int width, const Floats<kHeld>& values) {
    if (has(lane, k, width)) store(head + column(lane, k), values);
  }
};

/// Pairs 32 apart, element by element; any width up to 256. What lies beyond the head is 0.
struct NarrowPieces {
  static constexpr int kLanes = static_cast<int>(kWarp), kPieces = 1;

  static __device__ int element(int lane, int i) { return 2 * (lane + kLanes * (i / 2)) + i % 2; }
  static __device__ bool has(int, int, int) { return true; }
  template <class T>
  static __device__ Raw<T, kHeld> read(const T* head, int lane, int, int width) {
    Raw<T, kHeld> raw;
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      raw.at[i] = element(lane, i) < width ? head[element(lane, i)] : from_float<T>(0);
    }
    return raw;
  }
  static __device__ Floats<kHeld / 2> angles(const float* table, int lane, int, int width) {
    Floats<kHeld / 2> values{};
#pragma unroll
    for (int i = 0; i < kHeld / 2; ++i) {
      if (element(lane, 2 * i) < width) values[i] = table[lane + kLanes * i];
    }
    return values;
  }
  template <class T>
  static __device__ void write(T* head, int lane, int, int width, const Floats<kHeld>& values) {
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      if (element(lane, i) < width) head[element(lane, i)] = from_float<T>(values[i]);
    }
  }
};

/// The angles of one position.
template <class Layout>
struct Turn {
  Floats<kHeld / 2> cos[Layout::kPieces], sin[Layout::kPieces];

  __device__ void read(const float* cosines, const float* sines, int lane, int width) {
#pragma unroll
    for (int k = 0; k < Layout::kPieces; ++k) {
      cos[k] = Layout::angles(cosines, lane, k, width);
      sin[k] = Layout::angles(sines, lane, k, width);
    }
  }
  /// Piece k by +angle, or −angle with direction −1.
  __device__ void rotate(Floats<kHeld>& piece, int k, float direction) const {
#pragma unroll
    for (int i = 0; i < kHeld / 2; ++i) {
      const float a = piece[2 * i], b = piece[2 * i + 1], s = direction * sin[k][i];
      piece[2 * i] = a * cos[k][i] - b * s;
      piece[2 * i + 1] = a * s + b * cos[k][i];
    }
  }
};

/// What a lane holds of one head, as it lies in memory.
template <class T, class Layout>
struct Head {
  Raw<T, kHeld> raw[Layout::kPieces];

  __device__ void read(const T* head, int lane, int width) {
#pragma unroll
    for (int k = 0; k < Layout::kPieces; ++k) raw[k] = Layout::read(head, lane, k, width);
  }
  __device__ void stay_raw() {
#pragma unroll
    for (int k = 0; k < Layout::kPieces; ++k) stays_raw(raw[k]);
  }
  /// The product of two heads, on each of their lanes.
  __device__ float dot(const Head& other, int lane, int width) const {
    float total = 0;
#pragma unroll
    for (int k = 0; k < Layout::kPieces; ++k) {
      float part = 0;
#pragma unroll
      for (int i = 0; i < kHeld; ++i) part += to_float(raw[k].at[i]) * to_float(other.raw[k].at[i]);
      total += Layout::has(lane, k, width) ? part : 0.0f;
    }
#pragma unroll
    for (int step = Layout::kLanes / 2; step > 0; step /= 2) {
      total += __shfl_xor_sync(kWholeWarp, total, step);
    }
    return total;
  }
};

}  // namespace caravan::cuda
