#include <string>

#include "caravan/random.hpp"
#include "plugins/device/cuda/decoding/sampled_row.cuh"
#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/device/view.hpp"
#include "plugins/device/cuda/kernels/follow.cuh"

namespace caravan::cuda {
namespace {

/// What the likeliest token weighs; others weigh their share of it, rounded. All tokens of a vocabulary
/// together fit into 64 bits.
constexpr double kLikeliest = 1099511627776.0;  // 2^40

struct Args {
  const float* logits;
  std::int64_t row_stride;
  int vocabulary, drawable, sequences;
  const std::int32_t* slots;
  const double *temperature, *top_p, *min_p, *repetition;
  const std::int32_t* top_k;
  const std::int64_t* seed;
  const float* bias;
  std::uint8_t* seen;
  std::int32_t *drawn, *tokens;
  float* log_prob;
};

/// What one slot's rules say of a row of logits.
class Row {
 public:
  __device__ Row(const Args& args, int row, int slot)
      : args_(args),
        logits_(args.logits + row * args.row_stride),
        seen_(args.seen ? args.seen + std::int64_t{slot} * args.vocabulary : nullptr),
        temperature_(args.temperature[slot]),
        repetition_(args.repetition[slot]) {}

  /// As the rules change it; −∞: never drawn.
  __device__ double logit(int token) const {
    double logit = double{logits_[token]} + (args_.bias ? double{args_.bias[token]} : 0.0);
    if (seen_ && seen_[token]) logit = logit > 0 ? logit / repetition_ : logit * repetition_;
    return logit;
  }
  __device__ float raw(int token) const { return logits_[token]; }
  __device__ void measure_from(double highest) { highest_ = highest; }
  __device__ unsigned long long weight(double logit) const {
    return static_cast<unsigned long long>(exp((logit - highest_) / temperature_) * kLikeliest + 0.5);
  }
  /// visit(order, weight) of each token of this thread that may be drawn and is not below `lowest`.
  template <class Visit>
  __device__ void each(std::uint64_t lowest, const Visit& visit) const {
    const Share share;
    for (int token = share.first; token < args_.drawable; token += share.step) {
      const double value = logit(token);
      const std::uint64_t order = order_of(value, token);
      if (value > -INFINITY && order >= lowest) visit(order, value);
    }
  }

 private:
  const Args& args_;
  const float* logits_;
  const std::uint8_t* seen_;
  double temperature_, repetition_, highest_ = 0;
};

/// The part `share` of a weight, at least 1.
__device__ unsigned long long part_of(unsigned long long weight, double share) {
  const double part = ceil(static_cast<double>(weight) * share);
  return part < 1 ? 1 : static_cast<unsigned long long>(part);
}

/// The token drawn of those from the order `lowest` on: top_k, top_p and min_p raise it first.
__device__ int draw(const Args& args, const Row& row, int slot) {
  std::uint64_t lowest = 0;
  const auto total = [&](std::uint64_t from, unsigned long long least) {
    unsigned long long own = 0;
    row.each(from, [&](std::uint64_t, double logit) {
      const unsigned long long weight = row.weight(logit);
      if (weight >= least) own += weight;
    });
    return ClusterSum<unsigned long long>::over_all(own, Plus{});
  };
  if (const int top_k = args.top_k[slot]; top_k > 0 && top_k < args.drawable) {
    lowest = order_at(static_cast<unsigned long long>(top_k), [&](const auto& visit) {
      row.each(0, [&](std::uint64_t order, double) { visit(order, 1); });
    });
  }
  if (args.top_p[slot] < 1) {
    const unsigned long long target = part_of(total(lowest, 0), args.top_p[slot]);
    lowest = order_at(target, [&](const auto& visit) {
      row.each(lowest, [&](std::uint64_t order, double logit) { visit(order, row.weight(logit)); });
    });
  }
  const auto least = static_cast<unsigned long long>(args.min_p[slot] * kLikeliest);
  constexpr std::uint64_t kSampler = hash_name("sampler");
  const RandomKey key{static_cast<std::uint64_t>(args.seed[slot]), kSampler};
  const float share = uniform(key, 0, static_cast<std::uint64_t>(args.drawn[slot]));
  const std::uint64_t order = order_at(part_of(total(lowest, least), share), [&](const auto& visit) {
    row.each(lowest, [&](std::uint64_t at, double logit) {
      const unsigned long long weight = row.weight(logit);
      if (weight >= least) visit(at, weight);
    });
  });
  return token_of(order);
}

/// Whether all logits are finite, and the largest of them as they came.
struct Raw {
  bool is_finite;
  float largest;
};
__device__ Raw look_at(const Args& args, const Row& row) {
  const Share share;
  int strange = 0;
  float largest = -INFINITY;
  for (int token = share.first; token < args.vocabulary; token += share.step) {
    const float logit = row.raw(token);
    strange += isfinite(logit) ? 0 : 1;
    largest = fmaxf(largest, logit);
  }
  return {ClusterSum<int>::over_all(strange, Plus{}) == 0, ClusterSum<float>::over_all(largest, Largest{})};
}

/// Σ exp(logit − largest), in an order that the vocabulary alone decides.
__device__ double sum_of_exponentials(const Args& args, const Row& row, float largest) {
  const Share share;
  double own = 0;
  for (int token = share.first; token < args.vocabulary; token += share.step)
    own += exp(double{row.raw(token)} - double{largest});
  return ClusterSum<double>::over_all(own, Plus{});
}

/// A cluster for each row.
__global__ void __cluster_dims__(kSampleBlocks) __launch_bounds__(kSampleThreads) sample_kernel(Args args) {
  let_next_kernel_begin();
  wait_for_kernel_before();
  const int index = static_cast<int>(blockIdx.y), slot = args.slots[index];
  if (slot < 0 || slot >= args.sequences) return;
  Row row(args, index, slot);
  const Raw raw = look_at(args, row);
  std::uint64_t best = 0;
  row.each(0, [&](std::uint64_t order, double) { best = order > best ? order : best; });
  best = ClusterSum<std::uint64_t>::over_all(best, Largest{});
  int token = -1;
  if (raw.is_finite && best != 0) {
    token = token_of(best);
    row.measure_from(row.logit(token));
    if (args.temperature[slot] != 0) token = draw(args, row, slot);
  }
  const double sum = args.log_prob ? sum_of_exponentials(args, row, raw.largest) : 0;
  groups::this_cluster().sync();  // all have read what is written now
  if (groups::this_cluster().thread_rank() != 0) return;
  args.tokens[index] = token;
  if (token < 0) return;
  ++args.drawn[slot];
  if (args.seen) args.seen[std::int64_t{slot} * args.vocabulary + token] = 1;
  if (args.log_prob)
    args.log_prob[index] = static_cast<float>(double{row.raw(token)} - double{raw.largest} - log(sum));
}

/// [N] of any type, on the device.
template <class T>
T* numbers(const Call& call, const char* name, const TensorView& view, DType type, std::int64_t count) {
  return call.vector(name, view, type, count).as<T>();
}

Args args_of(const Call& call, const SampleTokens& args) {
  const Matrix logits = call.matrix("logits", args.logits, DType::f32, kAny, kAny);
  const std::int64_t slots = args.drawn.count();
  const SamplingRules& rules = args.rules;
  if (args.drawable < 1 || args.drawable > logits.columns)
    call.fail(std::to_string(args.drawable) + " tokens may be drawn (of " + std::to_string(logits.columns) +
              ")");
  if (!args.seen.empty()) {
    call.check("seen", args.seen, {DType::u8, 2, {slots, logits.columns}});
    if (!args.seen.contiguous()) call.fail("'seen' is not contiguous");
  }
  return {logits.as<float>(),
          logits.stride,
          static_cast<int>(logits.columns),
          static_cast<int>(args.drawable),
          static_cast<int>(slots),
          call.indices("slots", args.slots, logits.rows),
          numbers<double>(call, "temperature", rules.temperature, DType::f64, slots),
          numbers<double>(call, "top_p", rules.top_p, DType::f64, slots),
          numbers<double>(call, "min_p", rules.min_p, DType::f64, slots),
          numbers<double>(call, "repetition", rules.repetition, DType::f64, slots),
          call.indices("top_k", rules.top_k, slots),
          numbers<std::int64_t>(call, "seed", rules.seed, DType::i64, slots),
          call.optional_floats("bias", args.bias, logits.columns),
          args.seen.empty() ? nullptr : args.seen.as<std::uint8_t>(),
          call.indices("drawn", args.drawn, slots),
          call.indices("tokens", args.tokens, logits.rows),
          call.optional_floats("log_prob", args.log_prob, logits.rows)};
}

}  // namespace

void CudaOps::sample_tokens(const SampleTokens& args) {
  const Call call("sample_tokens");
  const Args all = args_of(call, args);
  if (args.logits.extent(0) == 0) return;
  launch_following(sample_kernel, dim3(kSampleBlocks, static_cast<unsigned>(args.logits.extent(0))),
                   dim3(kSampleThreads), context_.stream(), 0, all);
}

}  // namespace caravan::cuda
