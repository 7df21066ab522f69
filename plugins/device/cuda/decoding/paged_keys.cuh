#pragma once

#include <algorithm>
#include <cstdint>

#include "plugins/device/cuda/decoding/paged_parts.cuh"
#include "plugins/device/cuda/kernels/vec.cuh"

// Softmax over the keys of one row as a warp makes it of numbers in fp32, for every type and width of heads.
namespace caravan::cuda {

inline constexpr int kHeld = 8;    ///< elements of a head that a lane holds
inline constexpr int kAtOnce = 4;  ///< keys of a lane that are on their way together

/// Eight elements from `from` on, 0 beyond the head.
template <bool kWide, class T>
__device__ Floats<kHeld> piece_at(const T* head, int from, int width) {
  if constexpr (kWide) {
    Floats<kHeld> piece{};
    if (from < width) piece = load<kHeld>(head + from);
    return piece;
  } else {
    Floats<kHeld> piece;
#pragma unroll
    for (int i = 0; i < kHeld; ++i) piece[i] = from + i < width ? to_float(head[from + i]) : 0.0f;
    return piece;
  }
}

/// Softmax over some keys that is not divided yet: Σ 2^(score − most)·value, and Σ 2^(score − most).
struct Weighted {
  float most = -INFINITY, total = 0;
  Floats<kHeld> sum{};

  __device__ void scale_to(float higher) {
    const float factor = most == -INFINITY ? 0.0f : exp2f(most - higher);
    total *= factor;
#pragma unroll
    for (int i = 0; i < kHeld; ++i) sum[i] *= factor;
    most = higher;
  }
  __device__ void add(float score, const Floats<kHeld>& value) {
    if (score > most) scale_to(score);
    const float weight = exp2f(score - most);
    total += weight;
#pragma unroll
    for (int i = 0; i < kHeld; ++i) sum[i] += weight * value[i];
  }
  /// What the lane `step` away has of other keys.
  __device__ void join_lane(int step) {
    Weighted other;
    other.most = __shfl_xor_sync(kWholeWarp, most, step);
    other.total = __shfl_xor_sync(kWholeWarp, total, step);
#pragma unroll
    for (int i = 0; i < kHeld; ++i) other.sum[i] = __shfl_xor_sync(kWholeWarp, sum[i], step);
    const float higher = fmaxf(most, other.most);
    if (higher == -INFINITY) return;
    scale_to(higher), other.scale_to(higher);
    total += other.total;
#pragma unroll
    for (int i = 0; i < kHeld; ++i) sum[i] += other.sum[i];
  }
};

/// The softmax of a row's queries over the keys of one warp. kLanes lanes hold a head, so a warp has
/// 32 / kLanes keys at a time.
template <class T, int kLanes, int kQueries, bool kWide>
struct FloatKeys {
  static constexpr int kKeys = static_cast<int>(kWarp) / kLanes, kTile = kKeys * kAtOnce;
  using Part = QueryParts<kQueries, kLanes * kHeld>;
  const PagedArgs& args;
  const KeyRange& range;
  int from;  ///< this lane's first element
  Weighted part[kQueries]{};
  Floats<kHeld> query[kQueries];

  __device__ FloatKeys(const PagedArgs& a, const KeyRange& keys, int first_query)
      : args(a), range(keys), from(static_cast<int>(threadIdx.x) % kLanes * kHeld) {
#pragma unroll
    for (int j = 0; j < kQueries; ++j) {
      const int h = range.head * a.queries + min(first_query + j, a.queries - 1);
      query[j] = piece_at<kWide>(static_cast<const T*>(a.q) + range.row * a.q_row + h * a.q_head, from,
                                 a.rows.width);
#pragma unroll
      for (int i = 0; i < kHeld; ++i) query[j][i] *= a.scale * kLog2E;
    }
  }

  __device__ void start() {
#pragma unroll
    for (Weighted& each : part) each = Weighted{};
  }
  /// Tiles at `begin`, + stride, …; all lanes of a warp.
  __device__ void attend_all(std::int64_t begin, int stride) {
    for (std::int64_t at = begin; at <= range.last; at += stride) attend(at);
  }

  /// kAtOnce keys of each group of lanes, from `begin` on; all lanes of a warp.
  __device__ void attend(std::int64_t begin) {
    const int own = static_cast<int>(threadIdx.x % kWarp) / kLanes;
    std::int64_t places[kAtOnce];
    Floats<kHeld> keys[kAtOnce], values[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) places[i] = range.place(args.rows, begin + i * kKeys + own);
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const std::int64_t at = (max(places[i], std::int64_t{0}) + range.head) * args.rows.width;
      keys[i] = piece_at<kWide>(static_cast<const T*>(args.keys) + at, from, args.rows.width);
      values[i] = piece_at<kWide>(static_cast<const T*>(args.values) + at, from, args.rows.width);
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
#pragma unroll
      for (int j = 0; j < kQueries; ++j) {
        float score = 0;
#pragma unroll
        for (int e = 0; e < kHeld; ++e) score += query[j][e] * keys[i][e];
#pragma unroll
        for (int step = kLanes / 2; step > 0; step /= 2) score += __shfl_xor_sync(kWholeWarp, score, step);
        if (places[i] >= 0) part[j].add(score, values[i]);
      }
    }
  }
  __device__ void put(Part& to) {
#pragma unroll
    for (int j = 0; j < kQueries; ++j) {
#pragma unroll
      for (int step = kLanes; step < static_cast<int>(kWarp); step *= 2) part[j].join_lane(step);
    }
    if (static_cast<int>(threadIdx.x % kWarp) >= kLanes) return;
#pragma unroll
    for (int j = 0; j < kQueries; ++j) {
#pragma unroll
      for (int i = 0; i < kHeld; ++i) to.sum[j][from + i] = part[j].sum[i];
      if (from == 0) to.most[j] = part[j].most, to.total[j] = part[j].total;
    }
  }
};

}  // namespace caravan::cuda
