#include "io/data/permutation.hpp"

namespace caravan::io {
namespace {

constexpr std::uint64_t kRounds = 6;

}  // namespace

Permutation::Permutation(std::uint64_t size, RandomKey key) noexcept : size_(size), key_(key) {
  while (half_bits_ < 32 && (std::uint64_t{1} << (2 * half_bits_)) < size) ++half_bits_;
}

std::uint64_t Permutation::at(std::uint64_t index, std::uint64_t epoch) const noexcept {
  do {
    index = scramble(index, epoch);
  } while (index >= size_);
  return index;
}

std::uint64_t Permutation::scramble(std::uint64_t value, std::uint64_t epoch) const noexcept {
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  std::uint64_t left = value >> half_bits_, right = value & mask;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    const auto bits = philox(key_, epoch * kRounds + round, right);
    const std::uint64_t next = left ^ (bits[0] & mask);
    left = right;
    right = next;
  }
  return (left << half_bits_) | right;
}

}  // namespace caravan::io
