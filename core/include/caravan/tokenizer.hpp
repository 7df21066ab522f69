#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/utf8.hpp"

namespace caravan {

/// What the names of special tokens inside a text are: characters like any others, or the tokens.
enum class Special { as_text, recognise };

/// Where a decoder stands; SentencePiece drops the space that it put before the first word.
struct DecodePosition {
  bool at_start = true;
};

/// What belongs around a text that a model is to continue.
struct TextFrame {
  std::vector<std::int32_t> before, after;
};

/// Text to token ids and back. Immutable after construction; several threads may call it.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Ids without BOS or EOS. Bytes that are not UTF-8: a byte-level tokenizer keeps them, every other one
  /// reads U+FFFD.
  virtual std::vector<std::int32_t> encode(std::string_view text, Special special) const = 0;
  /// Adds the bytes of one token to `out`. IoError when `id` is outside the vocabulary.
  virtual void decode_one(std::int32_t id, DecodePosition& position, std::string& out) const = 0;
  /// Every id is below.
  virtual std::int32_t vocab_size() const = 0;
  /// How the vocabulary spells the token; IoError when `id` is outside it.
  virtual std::string name_of(std::int32_t id) const = 0;
  virtual std::optional<std::int32_t> special_id(std::string_view name) const = 0;
  /// The tokens that may stand before and after a document; nothing when no file of the tokenizer names one.
  virtual std::optional<std::int32_t> bos() const = 0;
  virtual std::optional<std::int32_t> eos() const = 0;
  /// What the tokenizer's own post-processor, or the rule of its format, puts around a prompt.
  virtual TextFrame text_frame() const { return {}; }
  /// "tiktoken, 202048 tokens" for the run header.
  virtual std::string description() const = 0;

  /// The bytes that the ids stand for; not necessarily UTF-8.
  std::string decode(std::span<const std::int32_t> ids) const {
    std::string out;
    DecodePosition position;
    for (std::int32_t id : ids) decode_one(id, position, out);
    return out;
  }
};

/// Decodes a stream of ids into text that can be printed at once: an incomplete character waits for its other
/// bytes.
class StreamDecoder {
 public:
  /// Borrows `tokenizer`.
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  /// The characters that `id` completes; invalid bytes as U+FFFD.
  std::string push(std::int32_t id) {
    tokenizer_.decode_one(id, position_, pending_);
    const std::size_t ready = pending_.size() - incomplete_tail();
    std::string out = replace_invalid_utf8(std::string_view(pending_).substr(0, ready));
    pending_.erase(0, ready);
    return out;
  }
  /// What still waits, as U+FFFD; the decoder starts anew.
  std::string finish() {
    std::string out = replace_invalid_utf8(pending_);
    pending_.clear();
    position_ = {};
    return out;
  }

 private:
  std::size_t incomplete_tail() const {
    const std::string_view text = pending_;
    for (std::size_t length = 1; length <= 3 && length <= text.size(); ++length) {
      const Utf8Sequence tail = scan_utf8(text.substr(text.size() - length));
      if (tail.state == Utf8State::incomplete && tail.length == length) return length;
    }
    return 0;
  }

  const Tokenizer& tokenizer_;
  DecodePosition position_;
  std::string pending_;
};

}  // namespace caravan
