#define PCRE2_CODE_UNIT_WIDTH 8
#include "io/text/regex.hpp"

#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <limits>
#include <new>

#include "caravan/check.hpp"
#include "caravan/utf8.hpp"
#include "io/text/pre_tokenizer.hpp"

namespace caravan::io {
namespace {

constexpr std::uint32_t kMatchLimit = 20'000'000;
// The splits of released models take 2 to 10 steps a byte; a step takes about 5 ns.
constexpr std::uint64_t kStepsOfAnyText = 20'000'000, kStepsAByte = 200;
constexpr std::uint32_t kHeapLimitKib = 256 * 1024;
constexpr std::size_t kJitStackStart = 32 * 1024;
constexpr std::size_t kJitStackMost = 16 * 1024 * 1024;
constexpr std::size_t kLongestPattern = 64 * 1024;

std::string with_unicode_space(std::string_view pattern) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '\\' || i + 1 == pattern.size()) {
      out.push_back(pattern[i]);
      continue;
    }
    const char escaped = pattern[++i];
    if (escaped == 's') out += "\\p{White_Space}";
    if (escaped == 'S') out += "\\P{White_Space}";
    if (escaped != 's' && escaped != 'S') out.append({'\\', escaped});
  }
  return out;
}

/// Splits of released models. Each looks at a character a few times at most before it is cut off or passed
/// over, so their work need not be counted, which would take as long again.
bool is_known_as_linear(std::string_view pattern) {
  // Source: meta-llama/llama3, llama/tokenizer.py.
  constexpr std::string_view kLlama3Split =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  return pattern == kLlama4Split || pattern == kGpt2Split || pattern == kLlama3Split;
}

std::string text_of(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

std::string shortened(std::string_view pattern) {
  return pattern.size() <= 60
             ? std::string(pattern)
             : fmt::format("{}…", pattern.substr(0, valid_utf8_prefix(pattern.substr(0, 60))));
}

}  // namespace

RegexScratch::RegexScratch()
    : match_(pcre2_match_data_create(1, nullptr)),
      context_(pcre2_match_context_create(nullptr)),
      stack_(pcre2_jit_stack_create(kJitStackStart, kJitStackMost, nullptr)),
      steps_left_(kStepsOfAnyText) {
  if (!match_ || !context_ || !stack_) throw std::bad_alloc();
  pcre2_set_match_limit(context_, kMatchLimit);
  pcre2_set_heap_limit(context_, kHeapLimitKib);
  pcre2_jit_stack_assign(context_, nullptr, stack_);
  pcre2_set_callout(context_, count_step, this);
}

RegexScratch::~RegexScratch() {
  pcre2_match_data_free(match_);
  pcre2_match_context_free(context_);
  pcre2_jit_stack_free(stack_);
}

void RegexScratch::expect(std::size_t bytes) noexcept {
  const std::uint64_t room = std::numeric_limits<std::uint64_t>::max() - steps_left_;
  steps_left_ += std::min<std::uint64_t>(bytes, room / kStepsAByte) * kStepsAByte;
}

/// Before each item of a pattern. The way from the place of the step before is what an item has looked at.
int RegexScratch::count_step(pcre2_callout_block_8* block, void* scratch) noexcept {
  auto& self = *static_cast<RegexScratch*>(scratch);
  const std::size_t place = block->current_position;
  const std::size_t way = std::max(place, self.last_place_) - std::min(place, self.last_place_);
  const std::uint64_t taken = std::min<std::uint64_t>(1 + way, self.steps_left_);
  self.last_place_ = place;
  self.steps_left_ -= taken;
  return self.steps_left_ == 0 ? PCRE2_ERROR_MATCHLIMIT : 0;
}

void Regex::Free::operator()(pcre2_real_code_8* code) const noexcept {
  pcre2_code_free(code);
}

Regex::Regex(std::string_view pattern, Syntax syntax) : pattern_(pattern) {
  CARAVAN_CHECK(pattern.size() <= kLongestPattern, IoError,
                fmt::format("a pattern of {} bytes (at most {} are read). Is the file damaged?",
                            pattern.size(), kLongestPattern));
  const bool literal = syntax == Syntax::literal;
  const std::string source = literal ? pattern_ : with_unicode_space(pattern);
  const bool is_counted = !literal && !is_known_as_linear(pattern);
  const std::uint32_t options =
      PCRE2_UTF | (literal ? PCRE2_LITERAL : PCRE2_UCP) | (is_counted ? PCRE2_AUTO_CALLOUT : 0);
  int error = 0;
  PCRE2_SIZE at = 0;
  code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(), options, &error, &at,
                            nullptr));
  CARAVAN_CHECK(code_, IoError,
                fmt::format("pattern '{}' ({} at position {}). Is the file damaged?", shortened(pattern_),
                            text_of(error), at));
  // Without JIT (a hardened kernel may forbid it) the same pattern is interpreted, with the same result.
  pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
}

std::optional<TextRange> Regex::find(std::string_view text, std::size_t from, RegexScratch& scratch) const {
  scratch.last_place_ = from;
  const int found = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                                PCRE2_NO_UTF_CHECK, scratch.match_, scratch.context_);
  if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
  CARAVAN_CHECK(found >= 0, IoError,
                fmt::format("pattern '{}' cannot split this text ({}). Use another tokenizer?",
                            shortened(pattern_), text_of(found)));
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(scratch.match_);
  return TextRange{range[0], range[1]};
}

}  // namespace caravan::io
