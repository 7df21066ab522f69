#include "dropout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "host_ops.hpp"
#include "view.hpp"

namespace caravan::host {
namespace {

constexpr int kCounters = 8;
constexpr int kWords = 4;  ///< of one counter, so neighbouring columns
using Words = std::uint64_t __attribute__((vector_size(kCounters * sizeof(std::uint64_t))));

/// philox() of caravan/random.hpp on counters (high, low) to (high, low + kCounters − 1): words[w] holds word
/// w of each, in the low halves.
void philox_counters(RandomKey key, std::uint64_t high, std::uint64_t low, Words (&words)[kWords]) {
  constexpr std::uint64_t kLow = 0xFFFFFFFFull;
  const std::uint64_t mixed = (key.seed + 0x9E3779B97F4A7C15ull) ^ (key.stream * 0xD1B54A32D192ED03ull);
  std::uint64_t k0 = mixed & kLow, k1 = mixed >> 32;
  const Words counters = low + Words{0, 1, 2, 3, 4, 5, 6, 7};
  Words x0 = counters & kLow, x1 = counters >> 32, x2 = Words{} + (high & kLow), x3 = Words{} + (high >> 32);
  for (int round = 0; round < 10; ++round) {
    const Words p0 = 0xD2511F53ull * x0, p1 = 0xCD9E8D57ull * x2;
    x0 = (p1 >> 32) ^ x1 ^ k0;
    x1 = p1 & kLow;
    x2 = (p0 >> 32) ^ x3 ^ k1;
    x3 = p0 & kLow;
    k0 = (k0 + 0x9E3779B9u) & kLow;
    k1 = (k1 + 0xBB67AE85u) & kLow;
  }
  words[0] = x0, words[1] = x1, words[2] = x2, words[3] = x3;
}

using Floats = float __attribute__((vector_size(kCounters * sizeof(float))));
using SignedWords = std::int64_t __attribute__((vector_size(kCounters * sizeof(std::int64_t))));

/// unit_float() of the low halves, compared and chosen.
Floats factors_of(const Words& words, float probability, float kept) {
  const Floats unit =
      (__builtin_convertvector(reinterpret_cast<SignedWords>(words >> 8), Floats) + 0.5f) * 0x1p-24f;
  return unit < probability ? Floats{} : Floats{} + kept;
}

/// to[4·c + w] = f[w][c]
void interleave(const Floats (&f)[kWords], float* to) {
  const Floats a = __builtin_shufflevector(f[0], f[1], 0, 8, 1, 9, 2, 10, 3, 11);
  const Floats b = __builtin_shufflevector(f[0], f[1], 4, 12, 5, 13, 6, 14, 7, 15);
  const Floats c = __builtin_shufflevector(f[2], f[3], 0, 8, 1, 9, 2, 10, 3, 11);
  const Floats d = __builtin_shufflevector(f[2], f[3], 4, 12, 5, 13, 6, 14, 7, 15);
  const Floats parts[] = {__builtin_shufflevector(a, c, 0, 1, 8, 9, 2, 3, 10, 11),
                          __builtin_shufflevector(a, c, 4, 5, 12, 13, 6, 7, 14, 15),
                          __builtin_shufflevector(b, d, 0, 1, 8, 9, 2, 3, 10, 11),
                          __builtin_shufflevector(b, d, 4, 5, 12, 13, 6, 7, 14, 15)};
  std::memcpy(to, parts, sizeof parts);
}

}  // namespace

void dropout_factors(RandomKey key, const StreamPart& part, float probability, float* factors) {
  constexpr std::int64_t kBlock = kCounters * kWords;
  const float kept = 1.0f / (1.0f - probability);
  const auto skipped = static_cast<std::int64_t>(part.first_column % kWords);
  std::uint64_t counter = part.first_column / kWords;
  for (std::int64_t at = -skipped; at < part.count; at += kBlock, counter += kCounters) {
    Words words[kWords];
    philox_counters(key, part.row, counter, words);
    Floats chosen[kWords];
    for (int w = 0; w < kWords; ++w) chosen[w] = factors_of(words[w], probability, kept);
    float block[kBlock];
    interleave(chosen, block);
    const std::int64_t begin = std::max<std::int64_t>(at, 0), end = std::min(at + kBlock, part.count);
    std::copy(block + (begin - at), block + (end - at), factors + begin);
  }
}

void HostOps::dropout(const Dropout& args) {
  constexpr std::int64_t kPart = 512;
  const Call call("dropout");
  const Matrix x = call.matrix("x", args.x, kAny, kAny);
  if (!(args.probability >= 0 && args.probability < 1)) {
    call.fail(fmt::format("dropout probability {} (must be in [0, 1))", args.probability));
  }
  team_.for_each(x.rows, 8 * x.columns, [&](std::int64_t r, std::int64_t) {
    float factors[kPart];
    for (std::int64_t c = 0; c < x.columns; c += kPart) {
      const std::int64_t count = std::min(kPart, x.columns - c);
      dropout_factors(args.key,
                      {static_cast<std::uint64_t>(args.rows.token(r)), static_cast<std::uint64_t>(c), count},
                      args.probability, factors);
      Line(x.row(r) + c, count) *= ConstLine(factors, count);
    }
  });
}

}  // namespace caravan::host
