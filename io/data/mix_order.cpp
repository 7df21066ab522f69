#include "io/data/mix_order.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "caravan/check.hpp"
#include "caravan/random.hpp"

namespace caravan::io {
namespace {

constexpr unsigned kBits = 32;
constexpr std::uint64_t kWhole = std::uint64_t{1} << kBits;

std::vector<double> shares_of(std::span<const double> weights) {
  CARAVAN_CHECK(!weights.empty() && weights.size() <= kMostParts, ConfigError,
                fmt::format("a mix of {} parts (1 to {} are read)", weights.size(), kMostParts));
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<double> shares;
  for (const double weight : weights) {
    const double share = weight / sum;
    CARAVAN_CHECK(
        weight > 0 && std::isfinite(sum) && share >= kLeastShare, ConfigError,
        fmt::format("weight {} of weights whose sum is {} (a part has at least {} of all samples). Leave the "
                    "part out?",
                    weight, sum, kLeastShare));
    shares.push_back(share);
  }
  return shares;
}

}  // namespace

MixOrder::MixOrder(std::span<const double> weights, std::uint64_t seed)
    : shares_(shares_of(weights)), borders_(weights.size()) {
  divide(0, shares_.size(), seed);
}

void MixOrder::divide(std::size_t begin, std::size_t end, std::uint64_t seed) {
  if (end - begin < 2) return;
  const std::size_t half = middle(begin, end);
  const auto at = [&](std::size_t part) { return shares_.begin() + static_cast<std::ptrdiff_t>(part); };
  const double left = std::accumulate(at(begin), at(half), 0.0),
               right = std::accumulate(at(half), at(end), 0.0);
  borders_[half].ratio =
      static_cast<std::uint64_t>(std::llround(left / (left + right) * static_cast<double>(kWhole)));
  borders_[half].phase = philox({seed, hash_name("mix")}, 0, half)[0];
  divide(begin, half, seed);
  divide(half, end, seed);
}

/// Whole runs of 2^32 samples give `ratio` each, so that no product is above 64 bits.
std::int64_t MixOrder::Border::left_of(std::int64_t samples) const {
  const auto count = static_cast<std::uint64_t>(samples);
  return static_cast<std::int64_t>((count >> kBits) * ratio +
                                   (((count & (kWhole - 1)) * ratio + phase) >> kBits));
}

MixOrder::Place MixOrder::at(std::int64_t sample) const {
  CARAVAN_EXPECT(sample >= 0 && sample < std::int64_t{1} << 62);
  std::size_t begin = 0, end = shares_.size();
  while (end - begin > 1) {
    const std::size_t half = middle(begin, end);
    const std::int64_t before = borders_[half].left_of(sample);
    const bool goes_left = borders_[half].left_of(sample + 1) > before;
    sample = goes_left ? before : sample - before;
    (goes_left ? end : begin) = half;
  }
  return {begin, sample};
}

std::vector<std::int64_t> MixOrder::taken(std::int64_t samples) const {
  CARAVAN_EXPECT(samples >= 0 && samples <= std::int64_t{1} << 62);
  std::vector<std::int64_t> counts(shares_.size());
  count(0, shares_.size(), samples, counts);
  return counts;
}

void MixOrder::count(std::size_t begin, std::size_t end, std::int64_t samples,
                     std::vector<std::int64_t>& counts) const {
  if (end - begin == 1) {
    counts[begin] = samples;
    return;
  }
  const std::size_t half = middle(begin, end);
  const std::int64_t left = borders_[half].left_of(samples);
  count(begin, half, left, counts);
  count(half, end, samples - left, counts);
}

}  // namespace caravan::io
