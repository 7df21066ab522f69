#pragma once

#include <cstdint>

#include "plugins/device/cuda/decoding/paged_attention.hpp"
#include "plugins/device/cuda/kernels/powers.cuh"
#include "plugins/device/cuda/kernels/vec.cuh"

// Which keys a row sees, and how softmax over some of them is joined with softmax over others.
namespace caravan::cuda {

/// The keys that a row's key/value head sees: positions first to last.
struct KeyRange {
  int row, head, slot;
  std::int32_t first = 0, last;

  __device__ KeyRange(const PagedArgs& args, int of_row, int kv_head)
      : row(of_row), head(kv_head), slot(args.rows.slots[of_row]), last(args.rows.positions[of_row]) {
    if (args.chunk > 0) first = last / args.chunk * args.chunk;
  }
  /// Of the position, counted in heads; −1 beyond the range.
  __device__ std::int64_t place(const CachedRows& rows, std::int64_t position) const {
    return position <= last ? rows.place(slot, static_cast<std::int32_t>(position)) : -1;
  }
};

/// Σ 2^(score − most)·value over some keys, most, and Σ 2^(score − most), of each query.
template <int kOf, int kWidth>
struct QueryParts {
  static constexpr int kQueries = kOf;
  float sum[kQueries][kWidth];
  float most[kQueries], total[kQueries];
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
