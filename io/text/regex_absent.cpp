#include "caravan/error.hpp"
#include "io/text/regex.hpp"

// A build without PCRE2: whatever splits texts is refused when it is made.
namespace caravan::io {

RegexScratch::RegexScratch() : steps_left_(0) {}
RegexScratch::~RegexScratch() = default;

void RegexScratch::expect(std::size_t) noexcept {}

void Regex::Free::operator()(pcre2_real_code_8*) const noexcept {}

Regex::Regex(std::string_view, Syntax) {
  throw IoError(
      "a tokenizer that splits texts by a pattern (this build was made without PCRE2). "
      "Install libpcre2-dev and build again?");
}

std::optional<TextRange> Regex::find(std::string_view, std::size_t, RegexScratch&) const {
  return std::nullopt;  // there is no such pattern
}

}  // namespace caravan::io
