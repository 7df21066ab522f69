#include "io/data/unigram_entropy.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace caravan::io {
namespace {

constexpr std::int64_t kTokensAtOnce = 1 << 16;

}  // namespace

double unigram_entropy(const TokenStream& stream, std::int64_t begin, std::int64_t end) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(stream.vocab_size()));
  std::vector<std::int32_t> tokens(kTokensAtOnce);
  const auto total = static_cast<double>(end - begin);
  for (std::int64_t size; begin < end; begin += size) {
    size = std::min(kTokensAtOnce, end - begin);
    const auto part = std::span(tokens).first(static_cast<std::size_t>(size));
    stream.read(begin, part);
    for (std::int32_t id : part) ++counts[static_cast<std::size_t>(id)];
  }
  double entropy = 0;
  for (std::int64_t count : counts)
    if (count > 0)
      entropy -= static_cast<double>(count) / total * std::log(static_cast<double>(count) / total);
  return entropy;
}

}  // namespace caravan::io
