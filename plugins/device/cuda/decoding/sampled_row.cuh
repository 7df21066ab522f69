#pragma once

#include <cooperative_groups.h>

#include <cstdint>

#include "plugins/device/cuda/kernels/vec.cuh"

// How a cluster of blocks finds a token of a row of logits: the tokens are never sorted. Where so much of
// them in falling order comes to a target is looked for digit by digit of their order, with sums of whole
// numbers, which come out the same in whatever order they are added.
namespace caravan::cuda {

namespace groups = cooperative_groups;

inline constexpr int kSampleBlocks = 8, kSampleThreads = 512;

/// Rises with the logit; of equal ones with falling ids. No two tokens of a row have one order.
__device__ inline std::uint64_t order_of(double logit, int token) {
  const auto bits = static_cast<std::uint32_t>(__float_as_int(static_cast<float>(logit)));
  const std::uint32_t rising = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return std::uint64_t{rising} << 32 | (0xffffffffu - static_cast<std::uint32_t>(token));
}
__device__ inline int token_of(std::uint64_t order) {
  return static_cast<int>(0xffffffffu - static_cast<std::uint32_t>(order));
}

/// Of the tokens of one row, those that this thread looks at.
struct Share {
  int first, step;
  __device__ Share()
      : first(static_cast<int>(groups::this_cluster().thread_rank())), step(kSampleBlocks * kSampleThreads) {}
};

/// Values that all blocks of a cluster put together; in the order of blocks.
template <class T>
class ClusterSum {
 public:
  /// join(a, b) of every thread's value, on every thread.
  template <class Join>
  __device__ static T over_all(T own, const Join& join) {
    __shared__ T of_warp[kSampleThreads / static_cast<int>(kWarp)], of_block;
    const groups::cluster_group cluster = groups::this_cluster();
    const unsigned warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
#pragma unroll
    for (unsigned step = kWarp / 2; step > 0; step /= 2)
      own = join(own, __shfl_xor_sync(kWholeWarp, own, step));
    if (lane == 0) of_warp[warp] = own;
    __syncthreads();
    if (threadIdx.x == 0) {
      T all = of_warp[0];
      for (int other = 1; other < kSampleThreads / static_cast<int>(kWarp); ++other)
        all = join(all, of_warp[other]);
      of_block = all;
    }
    cluster.sync();
    T total = *cluster.map_shared_rank(&of_block, 0);
    for (int block = 1; block < kSampleBlocks; ++block)
      total = join(total, *cluster.map_shared_rank(&of_block, block));
    cluster.sync();
    return total;
  }
};

struct Plus {
  template <class T>
  __device__ T operator()(const T& a, const T& b) const {
    return a + b;
  }
};
struct Largest {
  template <class T>
  __device__ T operator()(const T& a, const T& b) const {
    return a < b ? b : a;
  }
};

/// Sums of what tokens weigh, by one digit of their order.
struct Digits {
  static constexpr int kBits = 8, kCount = 1 << kBits;
  unsigned long long weight[kCount];
  unsigned count[kCount];
};

/// Where the weight of tokens in falling order reaches a target.
struct Crossing {
  unsigned long long before;  ///< of all tokens with a higher digit
  int digit;
  unsigned tokens;  ///< with this digit
};

/// The highest digit at which the sum of the weights down to it reaches what is left of `target`; the lowest
/// one with tokens where it is never reached.
__device__ inline Crossing crossing(const Digits& own, unsigned long long target) {
  __shared__ Crossing found;
  const groups::cluster_group cluster = groups::this_cluster();
  __shared__ unsigned long long weight[Digits::kCount];
  __shared__ unsigned count[Digits::kCount];
  cluster.sync();
  for (int digit = static_cast<int>(threadIdx.x); digit < Digits::kCount; digit += kSampleThreads) {
    weight[digit] = 0, count[digit] = 0;
    for (int block = 0; block < kSampleBlocks; ++block) {
      const Digits& part = *cluster.map_shared_rank(&own, block);
      weight[digit] += part.weight[digit], count[digit] += part.count[digit];
    }
  }
  cluster.sync();
  if (threadIdx.x == 0) {
    unsigned long long before = 0;
    found = {0, 0, 0};
    for (int digit = Digits::kCount - 1; digit >= 0; --digit) {
      if (count[digit] == 0) continue;
      found = {before, digit, count[digit]};
      if (before + weight[digit] >= target) break;
      before += weight[digit];
    }
  }
  __syncthreads();
  return found;
}

/// The order of the token at which the weights of the row's tokens, in falling order, reach `target` (at
/// least 1). each(visit) calls visit(order, weight) for every token of this thread's share.
template <class Each>
__device__ std::uint64_t order_at(unsigned long long target, const Each& each) {
  __shared__ Digits own;
  std::uint64_t prefix = 0;
  for (int shift = 64 - Digits::kBits; shift >= 0; shift -= Digits::kBits) {
    for (int digit = static_cast<int>(threadIdx.x); digit < Digits::kCount; digit += kSampleThreads)
      own.weight[digit] = 0, own.count[digit] = 0;
    __syncthreads();
    const std::uint64_t known = shift + Digits::kBits < 64 ? ~std::uint64_t{0} << (shift + Digits::kBits) : 0;
    each([&](std::uint64_t order, unsigned long long weight) {
      if ((order & known) != prefix) return;
      const int digit = static_cast<int>(order >> shift) & (Digits::kCount - 1);
      atomicAdd(&own.weight[digit], weight);
      atomicAdd(&own.count[digit], 1u);
    });
    const Crossing at = crossing(own, target);
    target -= min(at.before, target - 1);
    prefix |= static_cast<std::uint64_t>(at.digit) << shift;
    if (at.tokens != 1) continue;
    // One token is left: its other digits need no sums.
    const std::uint64_t whole = ~std::uint64_t{0} << shift;
    std::uint64_t only = 0;
    each([&](std::uint64_t order, unsigned long long) {
      if ((order & whole) == prefix) only = order;
    });
    return ClusterSum<std::uint64_t>::over_all(only, Largest{});
  }
  return prefix;
}

}  // namespace caravan::cuda
