#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "caravan/tokenizer.hpp"

namespace caravan::io {

/// Tokens that are found by their name in the text, before it is split: the leftmost one, and there the
/// longest.
class SpecialTokens {
 public:
  struct Token {
    std::string name;
    std::int32_t id = 0;
    bool always =
        false;  ///< recognised even when special tokens are plain text (Hugging Face's special: false)
    bool strip_left = false;   ///< takes the white space before it
    bool strip_right = false;  ///< takes the white space after it
    bool single_word = false;  ///< only where no character of a word stands beside it
    bool last = false;         ///< only in what the others leave (Hugging Face's normalized: true)
  };
  using OnText = std::function<void(std::string_view)>;
  using OnToken = std::function<void(std::int32_t)>;

  SpecialTokens() = default;
  /// IoError when a name is empty or stands twice.
  explicit SpecialTokens(std::vector<Token> tokens);

  /// Cuts `text` at the tokens and reports its parts in order; `on_text` never gets an empty one. Source:
  /// what the tokenizers library does in AddedVocabulary.
  void split(std::string_view text, Special special, const OnText& on_text, const OnToken& on_token) const;
  const Token* find(std::string_view name) const;
  /// nullptr when `id` is not special.
  const Token* find(std::int32_t id) const;
  const std::vector<Token>& all() const noexcept { return tokens_; }

 private:
  /// Tokens that are looked for in one pass over a text.
  struct Pass {
    std::vector<std::size_t> lengths;  // of the names, each once, longest first
    std::vector<bool> begins;          // by byte: whether a name begins with it; empty: no tokens
    bool any_always = false;
  };
  static Pass pass_over(const std::vector<Token>& tokens, bool last);

  const Token* match_at(std::string_view text, bool last) const;
  void split_once(std::string_view text, Special special, bool last, const OnText& on_text,
                  const OnToken& on_token) const;

  std::vector<Token> tokens_;
  std::unordered_map<std::string, std::size_t> by_name_;
  std::unordered_map<std::int32_t, std::size_t> by_id_;
  std::array<Pass, 2> passes_;  // by Token::last
};

}  // namespace caravan::io
