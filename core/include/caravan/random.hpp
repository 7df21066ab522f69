#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace caravan {

/// Names one stream of random numbers: the run's seed and what the numbers are for.
struct RandomKey {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;
};

/// FNV-1a; turns a name into a stream number that is the same on every machine. A name in two pieces: pass
/// the hash of the first with the second.
constexpr std::uint64_t hash_name(std::string_view name,
                                  std::uint64_t hash = 0xcbf29ce484222325ull) noexcept {
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return hash;
}

/// Philox4x32-10: four 32-bit words that depend on nothing but key and counter, so any rank can draw any
/// element. constexpr, so that CUDA kernels draw from the same code. Source: Salmon et al., "Parallel random
/// numbers: as easy as 1, 2, 3", SC11.
constexpr std::array<std::uint32_t, 4> philox(RandomKey key, std::uint64_t high, std::uint64_t low) noexcept {
  std::uint64_t mixed = (key.seed + 0x9E3779B97F4A7C15ull) ^ (key.stream * 0xD1B54A32D192ED03ull);
  auto k0 = static_cast<std::uint32_t>(mixed), k1 = static_cast<std::uint32_t>(mixed >> 32);
  std::array<std::uint32_t, 4> x{static_cast<std::uint32_t>(low), static_cast<std::uint32_t>(low >> 32),
                                 static_cast<std::uint32_t>(high), static_cast<std::uint32_t>(high >> 32)};
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = 0xD2511F53ull * x[0], p1 = 0xCD9E8D57ull * x[2];
    x = {static_cast<std::uint32_t>(p1 >> 32) ^ x[1] ^ k0, static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ x[3] ^ k1, static_cast<std::uint32_t>(p0)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return x;
}

/// In (0, 1): 24 random bits, never 0 or 1.
constexpr float unit_float(std::uint32_t bits) noexcept {
  return (static_cast<float>(bits >> 8) + 0.5f) * 0x1p-24f;
}

/// Element (row, column) of the stream, in (0, 1). Four neighbouring columns share one Philox call.
constexpr float uniform(RandomKey key, std::uint64_t row, std::uint64_t column) noexcept {
  return unit_float(philox(key, row, column >> 2)[column & 3]);
}

/// Standard normal by Box–Muller; element (row, column) of the stream.
inline float normal(RandomKey key, std::uint64_t row, std::uint64_t column) noexcept {
  const auto bits = philox(key, row, column >> 1);
  const std::size_t pair = (column & 1) * 2;
  return std::sqrt(-2.0f * std::log(unit_float(bits[pair]))) *
         std::cos(6.28318530717958647692f * unit_float(bits[pair + 1]));
}

/// What dropout multiplies element (row, column) by: 0 with the given probability, else 1/(1 − probability).
constexpr float dropout_factor(RandomKey key, std::uint64_t row, std::uint64_t column,
                               float probability) noexcept {
  return uniform(key, row, column) < probability ? 0.0f : 1.0f / (1.0f - probability);
}

}  // namespace caravan
