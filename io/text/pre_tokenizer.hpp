#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "io/text/regex.hpp"

namespace caravan::io {

/// One cut of a text into pieces, by the matches of a pattern.
struct SplitStep {
  enum class Matches { isolated, removed };
  Regex pattern;
  Matches matches =
      Matches::isolated;  ///< what becomes of a match; what lies between two matches is always a piece
};

/// Cuts text into the pieces that BPE never merges across. A value without steps leaves the text whole.
class PreTokenizer {
 public:
  enum class Prefix { none, space };
  using Emit = std::function<void(std::string_view)>;

  PreTokenizer() = default;
  /// With Prefix::space a text that does not begin with a space gets one.
  explicit PreTokenizer(std::vector<SplitStep> steps, Prefix prefix = Prefix::none)
      : steps_(std::move(steps)), prefix_(prefix) {}

  /// Calls `emit` with every piece of `text` in order; a run of bytes that are not UTF-8 is a piece of its
  /// own. The views last for that call only.
  void split(std::string_view text, RegexScratch& scratch, const Emit& emit) const;

 private:
  void split_valid(std::string_view text, RegexScratch& scratch, const Emit& emit) const;
  void split_from(std::size_t step, std::string_view text, RegexScratch& scratch, const Emit& emit) const;

  std::vector<SplitStep> steps_;
  Prefix prefix_ = Prefix::none;
};

/// Llama 4's split ("o200k"): words with their contraction, up to three digits, punctuation, line breaks,
/// blanks.
extern const std::string_view kLlama4Split;
/// GPT-2's split, the one that Hugging Face's ByteLevel applies with use_regex.
extern const std::string_view kGpt2Split;

}  // namespace caravan::io
