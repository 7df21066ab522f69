#pragma once

#include <algorithm>
#include <cstdint>

#include "plugins/device/cuda/decoding/paged_attention.hpp"
#include "plugins/device/cuda/kernels/vec.cuh"

// Softmax over the keys of one row as a warp makes it, and how parts of it are joined.
namespace caravan::cuda {

/// The keys of a row's head are dealt to so many parts, which are added in their order. One to eight blocks
/// of a cluster make them: how many changes no bit.
inline constexpr int kParts = 8;
inline constexpr int kWarps = 8, kThreads = kWarps * static_cast<int>(kWarp);
inline constexpr int kHeld = 8;    ///< elements of a head that a lane holds
inline constexpr int kAtOnce = 4;  ///< keys of a lane that are on their way together
inline constexpr float kLog2E = 1.4426950408889634f;

template <class T>
struct Args : PagedArgs {
  __device__ const T* typed(const void* data) const { return static_cast<const T*>(data); }
};

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

/// Parts of one query: elements, then what they are relative to, and the total.
template <int kQueries>
struct Parts {
  static constexpr int kMostWidth = 256;
  float sum[kQueries][kMostWidth];
  float most[kQueries], total[kQueries];
};

/// The keys of one warp. kLanes lanes hold a head, so a warp has 32 / kLanes keys at a time.
template <class T, int kLanes, int kQueries, bool kWide>
struct Keys {
  static constexpr int kKeys = static_cast<int>(kWarp) / kLanes, kStep = kKeys * kAtOnce;
  const Args<T>& args;
  int slot, head, from;  ///< from: this lane's first element
  std::int64_t first, end;
  Weighted part[kQueries]{};
  Floats<kHeld> query[kQueries];

  __device__ Keys(const Args<T>& a, int row, int kv_head, int first_query)
      : args(a),
        slot(a.rows.slots[row]),
        head(kv_head),
        from(static_cast<int>(threadIdx.x) % kLanes * kHeld),
        first(0),
        end(a.rows.positions[row] + std::int64_t{1}) {
    if (a.chunk > 0) first = (end - 1) / a.chunk * a.chunk;
#pragma unroll
    for (int j = 0; j < kQueries; ++j) {
      const int h = kv_head * a.queries + min(first_query + j, a.queries - 1);
      query[j] = piece_at<kWide>(a.typed(a.q) + row * a.q_row + h * a.q_head, from, a.rows.width);
#pragma unroll
      for (int i = 0; i < kHeld; ++i) query[j][i] *= a.scale * kLog2E;
    }
  }

  __device__ void start() {
#pragma unroll
    for (Weighted& each : part) each = Weighted{};
  }
  __device__ std::int64_t place(std::int64_t position) const {
    return position < end ? args.rows.place(slot, position) : -1;
  }
  /// kAtOnce keys of each group of lanes, from `begin` on; all lanes of a warp.
  __device__ void attend(std::int64_t begin) {
    const int own = static_cast<int>(threadIdx.x % kWarp) / kLanes;
    std::int64_t places[kAtOnce];
    Floats<kHeld> keys[kAtOnce], values[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) places[i] = place(begin + i * kKeys + own);
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const std::int64_t at = (max(places[i], std::int64_t{0}) + head) * args.rows.width;
      keys[i] = piece_at<kWide>(args.typed(args.keys) + at, from, args.rows.width);
      values[i] = piece_at<kWide>(args.typed(args.values) + at, from, args.rows.width);
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
  __device__ void join_lanes() {
#pragma unroll
    for (int j = 0; j < kQueries; ++j) {
#pragma unroll
      for (int step = kLanes; step < static_cast<int>(kWarp); step *= 2) part[j].join_lane(step);
    }
  }
  __device__ void put(Parts<kQueries>& to) const {
    if (static_cast<int>(threadIdx.x % kWarp) >= kLanes) return;
#pragma unroll
    for (int j = 0; j < kQueries; ++j) {
#pragma unroll
      for (int i = 0; i < kHeld; ++i)
        if (from + i < Parts<kQueries>::kMostWidth) to.sum[j][from + i] = part[j].sum[i];
      if (from == 0) to.most[j] = part[j].most, to.total[j] = part[j].total;
    }
  }
};

/// An element of several parts together, in their order. All of them are read before any is added.
template <int kCount>
struct Joined {
  float sum = 0, total = 0, most = -INFINITY;

  /// part(i) is what part i has of query j, of which this is element e.
  template <class PartAt>
  __device__ Joined(int j, int e, const PartAt& part) {
    float mosts[kCount], totals[kCount], sums[kCount];
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const auto& from = part(i);
      mosts[i] = from.most[j], totals[i] = from.total[j], sums[i] = from.sum[j][e];
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) most = fmaxf(most, mosts[i]);
    if (most == -INFINITY) return;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const float weight = exp2f(mosts[i] - most);  // 0 of a part without keys, whose sum is 0
      sum += weight * sums[i], total += weight * totals[i];
    }
  }
};

}  // namespace caravan::cuda
