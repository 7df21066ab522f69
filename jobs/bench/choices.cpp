#include "jobs/bench/choices.hpp"

#include <algorithm>
#include <numeric>
#include <random>

#include "caravan/bf16.hpp"

namespace caravan::jobs {
namespace {

using Generator = std::mt19937_64;

Generator generator_of(int rank) {
  return Generator(static_cast<std::uint64_t>(rank) + 1);
}

/// Different experts for one token, each drawn with its weight among those that are left.
void draw(std::vector<double> weights, std::int64_t top_k, Generator& generator,
          std::vector<std::int32_t>& to) {
  for (std::int64_t k = 0; k < top_k; ++k) {
    std::discrete_distribution<std::int32_t> drawn(weights.begin(), weights.end());
    to.push_back(drawn(generator));
    weights[static_cast<std::size_t>(to.back())] = 0;
  }
}

std::vector<std::int32_t> experts_of(RoutingKind kind, const ChoiceSizes& sizes, int rank) {
  std::vector<std::int32_t> experts;
  if (kind == RoutingKind::even) {
    for (std::int64_t choice = 0; choice < sizes.tokens * sizes.top_k; ++choice)
      experts.push_back(static_cast<std::int32_t>(choice % sizes.experts));
    return experts;
  }
  std::vector<double> weights(static_cast<std::size_t>(sizes.experts), 1);
  for (std::size_t expert = 0; expert < weights.size() && kind == RoutingKind::skewed; ++expert)
    weights[expert] = 1 / static_cast<double>(expert + 1);
  Generator generator = generator_of(rank);
  for (std::int64_t token = 0; token < sizes.tokens; ++token) draw(weights, sizes.top_k, generator, experts);
  return experts;
}

}  // namespace

Choices make_choices(RoutingKind kind, const ChoiceSizes& sizes, int rank) {
  Choices choices;
  choices.experts = experts_of(kind, sizes, rank);
  choices.weights.assign(choices.experts.size(), 0.5f);
  choices.offsets.assign(static_cast<std::size_t>(sizes.experts) + 1, 0);
  for (const std::int32_t expert : choices.experts) ++choices.offsets[static_cast<std::size_t>(expert) + 1];
  std::partial_sum(choices.offsets.begin(), choices.offsets.end(), choices.offsets.begin());
  choices.choice_of.resize(choices.experts.size());
  std::iota(choices.choice_of.begin(), choices.choice_of.end(), 0);
  std::stable_sort(choices.choice_of.begin(), choices.choice_of.end(), [&](std::int32_t a, std::int32_t b) {
    return choices.experts[static_cast<std::size_t>(a)] < choices.experts[static_cast<std::size_t>(b)];
  });
  choices.row_of.resize(choices.experts.size());
  for (std::size_t row = 0; row < choices.choice_of.size(); ++row)
    choices.row_of[static_cast<std::size_t>(choices.choice_of[row])] = static_cast<std::int32_t>(row);
  return choices;
}

std::vector<float> random_numbers(std::int64_t count, int rank) {
  Generator generator = generator_of(rank);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(static_cast<std::size_t>(count));
  std::generate(numbers.begin(), numbers.end(), [&] { return normal(generator); });
  return numbers;
}

void upload_numbers(Device& device, const std::vector<float>& numbers, const TensorView& to) {
  if (to.dtype == DType::f32)
    return device.copy_from_host(Lane::compute, to.data, numbers.data(), to.bytes());
  std::vector<std::uint16_t> rounded(numbers.size());
  std::transform(numbers.begin(), numbers.end(), rounded.begin(), to_bf16);
  device.copy_from_host(Lane::compute, to.data, rounded.data(), to.bytes());
}

}  // namespace caravan::jobs
