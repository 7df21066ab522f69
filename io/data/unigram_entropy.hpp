#pragma once

#include <cstdint>

#include "io/data/token_stream.hpp"

namespace caravan::io {

/// Entropy of the frequencies of the single tokens in [begin, end), in nats a token: what a model reaches
/// that knows the frequencies and no context. 0 for an empty range. Reads all of it once.
double unigram_entropy(const TokenStream& stream, std::int64_t begin, std::int64_t end);

}  // namespace caravan::io
