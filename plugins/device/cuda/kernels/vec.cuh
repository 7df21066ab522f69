#pragma once

#include <cstdint>

#include "plugins/device/cuda/kernels/dtype.cuh"

// N neighbouring elements as floats in registers, read and written 16 bytes at a time, and sums over a warp
// or a block.
namespace caravan::cuda {

inline constexpr unsigned kWarp = 32;
inline constexpr unsigned kWholeWarp = 0xffffffffu;

/// Raw elements of one access: 16 bytes or all N, whichever is less.
template <class T, int N>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Raw {
  T at[N];
};

template <int N>
struct Floats {
  float at[N];
  __device__ float& operator[](int i) { return at[i]; }
  __device__ const float& operator[](int i) const { return at[i]; }
};

/// `from` starts on 16 bytes when N > 1.
template <int N, class T>
__device__ Raw<T, N> load_raw(const T* from) {
  return *reinterpret_cast<const Raw<T, N>*>(from);
}

template <class T, int N>
__device__ Floats<N> floats_of(const Raw<T, N>& raw) {
  Floats<N> values;
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] = to_float(raw.at[i]);
  return values;
}

template <int N, class T>
__device__ Floats<N> load(const T* from) {
  return floats_of(load_raw<N>(from));
}

/// Keeps the compiler from holding on to floats that it made of this before: they are made again.
template <class T, int N>
__device__ void stays_raw(Raw<T, N>& raw) {
  if constexpr (sizeof raw % sizeof(std::uint32_t) == 0) {
    auto* words = reinterpret_cast<std::uint32_t*>(&raw);
#pragma unroll
    for (std::size_t i = 0; i < sizeof raw / sizeof *words; ++i) asm volatile("" : "+r"(words[i]));
  }
}

template <int N, class T>
__device__ void store(T* to, const Floats<N>& values) {
  Raw<T, N> raw;
#pragma unroll
  for (int i = 0; i < N; ++i) raw.at[i] = from_float<T>(values[i]);
  *reinterpret_cast<Raw<T, N>*>(to) = raw;
}

/// The sum on every lane.
template <class T>
__device__ T warp_sum(T x) {
#pragma unroll
  for (unsigned step = kWarp / 2; step > 0; step /= 2) x += __shfl_xor_sync(kWholeWarp, x, step);
  return x;
}

/// The sum on every thread of a block of whole warps, at most 1024 threads, always added in the same order.
/// Two calls in a row need no barrier between them.
template <class T>
__device__ T block_sum(T x) {
  __shared__ T parts[kWarp];
  const unsigned lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  x = warp_sum(x);
  if (blockDim.x == kWarp) return x;
  __syncthreads();
  if (lane == 0) parts[warp] = x;
  __syncthreads();
  return warp_sum(lane < blockDim.x / kWarp ? parts[lane] : T(0));
}

}  // namespace caravan::cuda
