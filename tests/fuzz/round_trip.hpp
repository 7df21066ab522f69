#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "caravan/tokenizer.hpp"
#include "tests/fuzz/call.hpp"

namespace caravan::fuzz {

/// Uses a tokenizer that a reader has made of an input: words, spaces, digits, invalid UTF-8, ids of both
/// ends.
inline void encode_and_decode(const Tokenizer& tokenizer) {
  constexpr std::string_view kText =
      "The quick <s> brown\n\n\tfox 12345 \xC3\xBC\xE4\xB8\xAD\xFF<|eot|>aaaa'll";
  for (const auto special : {Special::recognise, Special::as_text}) {
    attempt([&] { tokenizer.decode(tokenizer.encode(kText, special)); });
  }
  for (const std::int32_t id : {-1, 0, tokenizer.vocab_size() - 1, tokenizer.vocab_size()}) {
    attempt([&] { tokenizer.name_of(id); });
    attempt([&] { tokenizer.decode(std::vector<std::int32_t>{id}); });
  }
  tokenizer.description();
}

}  // namespace caravan::fuzz
