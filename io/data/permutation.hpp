#pragma once

#include <cstdint>

#include "caravan/random.hpp"

namespace caravan::io {

/// A random order of 0 … size-1 that needs no memory: a Feistel network over the next power of four, walked
/// until the result is in range (under four steps on average). Equal keys and epochs give equal orders on
/// every machine. Source: Black & Rogaway 2002, "Ciphers with arbitrary finite domains", cycle walking.
class Permutation {
 public:
  /// `size` > 0.
  Permutation(std::uint64_t size, RandomKey key) noexcept;
  /// The element at place `index` < size of pass `epoch`.
  std::uint64_t at(std::uint64_t index, std::uint64_t epoch) const noexcept;

 private:
  std::uint64_t scramble(std::uint64_t value, std::uint64_t epoch) const noexcept;

  std::uint64_t size_;
  RandomKey key_;
  unsigned half_bits_ = 1;
};

}  // namespace caravan::io
