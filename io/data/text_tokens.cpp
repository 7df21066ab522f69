#include "io/data/text_tokens.hpp"

#include <vector>

namespace caravan::io {

std::unique_ptr<TokenStream> tokenise(const TextInputs& inputs, const DocumentEncoder& encoder,
                                      const Tokenizer& tokenizer, const std::string& file) {
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> starts;
  inputs.for_each([&](std::string_view document) {
    const std::size_t start = tokens.size();
    encoder.encode(document, tokens);
    if (tokens.size() > start) starts.push_back(static_cast<std::int64_t>(start));
  });
  return std::make_unique<MemoryTokens>(std::move(tokens), std::move(starts), tokenizer.vocab_size(), file);
}

}  // namespace caravan::io
