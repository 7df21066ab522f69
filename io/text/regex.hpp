#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct pcre2_real_code_8;
struct pcre2_real_match_data_8;
struct pcre2_real_match_context_8;
struct pcre2_real_jit_stack_8;
struct pcre2_callout_block_8;

namespace caravan::io {

/// A position range inside a text, in bytes.
struct TextRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// The working memory of matching: one for each text, used with any number of patterns. Limits the work of
/// all matches together by the bytes of text, because patterns come from files: a limit for each match would
/// let a pattern that looks at the whole text for each of its pieces run for days.
class RegexScratch {
 public:
  RegexScratch();
  ~RegexScratch();
  RegexScratch(const RegexScratch&) = delete;
  RegexScratch& operator=(const RegexScratch&) = delete;

  /// So much text is about to be matched.
  void expect(std::size_t bytes) noexcept;

 private:
  friend class Regex;
  static int count_step(pcre2_callout_block_8* block, void* scratch) noexcept;

  pcre2_real_match_data_8* match_ = nullptr;
  pcre2_real_match_context_8* context_ = nullptr;
  pcre2_real_jit_stack_8* stack_ = nullptr;
  std::uint64_t steps_left_;
  std::size_t last_place_ = 0;
};

/// A compiled Unicode pattern (PCRE2, JIT). \s and \S mean the property White_Space, as in the regular
/// expressions of Rust and Oniguruma that the tokenizers' own libraries use; PCRE2's own \s also takes
/// U+180E.
class Regex {
 public:
  enum class Syntax { pattern, literal };
  /// IoError with the position when the pattern is wrong.
  explicit Regex(std::string_view pattern, Syntax syntax = Syntax::pattern);

  /// The first match at or after `from` in `text` (valid UTF-8). IoError when the pattern costs more than the
  /// limits of the scratch.
  std::optional<TextRange> find(std::string_view text, std::size_t from, RegexScratch& scratch) const;

 private:
  struct Free {
    void operator()(pcre2_real_code_8* code) const noexcept;
  };
  std::unique_ptr<pcre2_real_code_8, Free> code_;
  std::string pattern_;
};

}  // namespace caravan::io
