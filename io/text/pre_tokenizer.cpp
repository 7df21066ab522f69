#include "io/text/pre_tokenizer.hpp"

#include "caravan/utf8.hpp"

#include <string>

namespace caravan::io {

namespace {

/// Bytes at the front of `text` that are no character.
std::size_t invalid_prefix(std::string_view text) {
  std::size_t length = 0;
  while (length < text.size()) {
    const Utf8Sequence next = scan_utf8(text.substr(length));
    if (next.state == Utf8State::valid) break;
    length += next.length;
  }
  return length;
}

}  // namespace

// Source: meta-llama/llama-models, models/llama4/tokenizer.py (O200K_PATTERN).
const std::string_view kLlama4Split =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Source: openai/gpt-2, src/encoder.py; huggingface/tokenizers, pre_tokenizers/byte_level.rs.
const std::string_view kGpt2Split =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

void PreTokenizer::split(std::string_view text, RegexScratch& scratch, const Emit& emit) const {
  scratch.expect(text.size());
  while (!text.empty()) {
    const std::size_t good = valid_utf8_prefix(text);
    split_valid(text.substr(0, good), scratch, emit);
    text.remove_prefix(good);
    const std::size_t bad = invalid_prefix(text);
    if (bad > 0) emit(text.substr(0, bad));
    text.remove_prefix(bad);
  }
}

void PreTokenizer::split_valid(std::string_view text, RegexScratch& scratch, const Emit& emit) const {
  if (prefix_ == Prefix::none || text.starts_with(' ')) return split_from(0, text, scratch, emit);
  const std::string prefixed = " " + std::string(text);
  split_from(0, prefixed, scratch, emit);
}

void PreTokenizer::split_from(std::size_t step, std::string_view text, RegexScratch& scratch,
                              const Emit& emit) const {
  if (text.empty()) return;
  if (step == steps_.size()) return emit(text);
  const SplitStep& cut = steps_[step];
  std::size_t done = 0, search = 0;
  while (search < text.size()) {
    const auto match = cut.pattern.find(text, search, scratch);
    if (!match) break;
    if (match->end == match->begin) {  // an empty match cuts nothing, and must not be found again
      if (match->end >= text.size()) break;
      search = match->end + scan_utf8(text.substr(match->end)).length;
      continue;
    }
    split_from(step + 1, text.substr(done, match->begin - done), scratch, emit);
    if (cut.matches == SplitStep::Matches::isolated)
      split_from(step + 1, text.substr(match->begin, match->end - match->begin), scratch, emit);
    done = search = match->end;
  }
  split_from(step + 1, text.substr(done), scratch, emit);
}

}  // namespace caravan::io
