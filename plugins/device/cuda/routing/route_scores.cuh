#pragma once

#include "caravan/ops/routing.hpp"
#include "plugins/device/cuda/kernels/random.cuh"
#include "plugins/device/cuda/kernels/rows.cuh"
#include "plugins/device/cuda/kernels/warp_rows.cuh"

// How one warp routes one token. Scores are double, as in the reference: values that are equal there are
// equal here, so the same expert is chosen. Lane k has the k-th selected expert.
namespace caravan::cuda {

constexpr double kNormaliserFloor = 1e-20;
constexpr int kMostSelected = static_cast<int>(kWarp);

/// The rule and the inputs of all tokens.
struct Router {
  ScoreFunction score;
  int top_k, tokens, experts, groups, limited_groups;
  bool normalise, bias_in_weight;
  double scale;
  Rows<float> logits, noise_std;
  RandomKey noise_key;
  TokenMap rows;
  const float* bias;
};

/// What a warp remembers of its token in shared memory.
struct RouterScratch {
  double* value;        ///< [E]
  double* group_value;  ///< [groups]
  unsigned char* open;  ///< [E], [groups]
  unsigned char* open_group;

  __host__ __device__ static std::size_t bytes(int experts, int groups) {
    return (static_cast<std::size_t>(experts + groups) * 9 + 7) / 8 * 8;
  }
  __device__ RouterScratch(unsigned char* shared, int experts, int groups)
      : value(reinterpret_cast<double*>(shared)),
        group_value(value + experts),
        open(reinterpret_cast<unsigned char*>(group_value + groups)),
        open_group(open + experts) {}
};

__device__ inline double sigmoid(double x) {
  return 1 / (1 + exp(-x));
}
__device__ inline double softplus(double x) {
  return fmax(x, 0.0) + log1p(exp(-fabs(x)));
}

/// Takes the open index with the largest value, the lower one of equals. A NaN is never larger than anything,
/// but the first open one stays when it is a NaN, as in a loop that compares with the best so far.
__device__ inline int take_best(const double* value, unsigned char* open, int count) {
  const int lane = threadIdx.x % kWarp;
  int first = count;
  for (int i = lane; i < count && first == count; i += kWarp) first = open[i] ? i : first;
  first = static_cast<int>(__reduce_min_sync(kWholeWarp, static_cast<unsigned>(first)));
  double best = -INFINITY;
  int index = count;
  for (int i = lane; i < count; i += kWarp) {
    if (!open[i]) continue;
    const double v = isnan(value[i]) ? (i == first ? INFINITY : -INFINITY) : value[i];
    if (index == count || v > best) best = v, index = i;
  }
#pragma unroll
  for (unsigned step = kWarp / 2; step > 0; step /= 2) {
    const double other = __shfl_xor_sync(kWholeWarp, best, step);
    const int at = __shfl_xor_sync(kWholeWarp, index, step);
    if (other > best || (other == best && at < index)) best = other, index = at;
  }
  __syncwarp();  // all have read what one writes now
  if (lane == 0) open[index] = 0;
  __syncwarp();
  return index;
}

/// The sum of the two largest, or the only one.
__device__ inline double best_two(const double* value, int count) {
  if (count == 1) return value[0];
  double first = fmax(value[0], value[1]), second = fmin(value[0], value[1]);
  for (int i = 2; i < count; ++i) {
    second = fmax(second, fmin(first, value[i]));
    first = fmax(first, value[i]);
  }
  return first + second;
}

/// Closes the experts of all but the best groups.
__device__ inline void limit_groups(const Router& router, const RouterScratch& scratch) {
  const int lane = threadIdx.x % kWarp, size = router.experts / router.groups;
  for (int g = lane; g < router.groups; g += kWarp) {
    scratch.group_value[g] = best_two(scratch.value + g * size, size);
    scratch.open_group[g] = 1;
  }
  for (int e = lane; e < router.experts; e += kWarp) scratch.open[e] = 0;
  __syncwarp();
  for (int n = 0; n < router.limited_groups; ++n) {
    const int g = take_best(scratch.group_value, scratch.open_group, router.groups);
    for (int i = lane; i < size; i += kWarp) scratch.open[g * size + i] = 1;
  }
  __syncwarp();
}

/// The logits of one token, and what follows from them.
class TokenRouter {
 public:
  __device__ TokenRouter(const Router& router, int token)
      : router_(router), token_(token), logits_(router.logits.at(token)), lane_(threadIdx.x % kWarp) {}

  /// Adds the noise to the logits, in place.
  __device__ void add_noise() const {
    for (int e = lane_; e < router_.experts; e += kWarp) {
      const double noise = softplus(*router_.noise_std.at(token_, e)) * draw(e);
      logits_[e] = static_cast<float>(logits_[e] + noise);
    }
    __syncwarp();
  }
  __device__ float draw(int e) const {
    return device_normal(router_.noise_key, static_cast<std::uint64_t>(router_.rows.token(token_)), e);
  }

  /// The selected experts by falling score.
  __device__ int choose(const RouterScratch& scratch) const {
    double normaliser = 0;
    if (router_.score == ScoreFunction::softmax) {
      normaliser = warp_log_sum_exp(router_.experts, [&](int e) { return double{logits_[e]}; });
    }
    for (int e = lane_; e < router_.experts; e += kWarp) {
      double value = logits_[e];
      if (router_.score == ScoreFunction::softmax) value = exp(value - normaliser);
      if (router_.score == ScoreFunction::sigmoid) value = sigmoid(value);
      scratch.value[e] = router_.bias ? value + router_.bias[e] : value;
      scratch.open[e] = 1;
    }
    __syncwarp();
    if (router_.groups > 0) limit_groups(router_, scratch);
    int chosen = 0;
    for (int k = 0; k < router_.top_k; ++k) {
      const int best = take_best(scratch.value, scratch.open, router_.experts);
      if (lane_ == k) chosen = best;
    }
    return chosen;
  }

  /// The score of the selected; 0 on lanes that have none.
  __device__ double score(int chosen) const {
    if (router_.score == ScoreFunction::softmax) {
      const double p = exp(weight_logit(chosen) - weight_normaliser());
      return selects() ? p : 0;
    }
    const double z = weight_logit(chosen);
    if (router_.score == ScoreFunction::sigmoid) return selects() ? sigmoid(z) : 0;
    const double largest = warp_max(selects() ? z : -INFINITY), p = selects() ? exp(z - largest) : 0;
    return p / warp_sum(p);
  }
  __device__ double total(double score) const { return kNormaliserFloor + warp_sum(score); }

  __device__ float weight(int chosen) const {
    const double mine = score(chosen);
    return static_cast<float>(mine * (router_.scale / (router_.normalise ? total(mine) : 1)));
  }

  __device__ bool selects() const { return lane_ < router_.top_k; }
  __device__ double weight_logit(int e) const {
    const double z = logits_[e];
    return router_.bias && router_.bias_in_weight ? z + router_.bias[e] : z;
  }
  __device__ double weight_normaliser() const {
    return warp_log_sum_exp(router_.experts, [&](int e) { return weight_logit(e); });
  }

 private:
  const Router& router_;
  int token_;
  float* logits_;
  int lane_;
};

}  // namespace caravan::cuda
