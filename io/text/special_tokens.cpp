#include "io/text/special_tokens.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "caravan/check.hpp"

namespace caravan::io {
namespace {

constexpr std::string_view kAsciiSpace = " \t\n\r\f\v";

}  // namespace

SpecialTokens::SpecialTokens(std::vector<Token> tokens) : tokens_(std::move(tokens)), begins_(256, false) {
  std::set<std::size_t, std::greater<>> lengths;
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const Token& token = tokens_[i];
    CARAVAN_CHECK(
        !token.name.empty(), IoError,
        fmt::format("special token {} has no name (it would match everywhere). Is the file damaged?",
                    token.id));
    CARAVAN_CHECK(
        by_name_.emplace(token.name, i).second, IoError,
        fmt::format("special token '{}' stands twice (a name has one id). Is the file damaged?", token.name));
    by_id_.emplace(token.id, i);
    lengths.insert(token.name.size());
    begins_[static_cast<unsigned char>(token.name[0])] = true;
    any_always_ = any_always_ || token.always;
  }
  lengths_.assign(lengths.begin(), lengths.end());
}

const SpecialTokens::Token* SpecialTokens::find(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? nullptr : &tokens_[found->second];
}

const SpecialTokens::Token* SpecialTokens::find(std::int32_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

const SpecialTokens::Token* SpecialTokens::match_at(std::string_view text, Special special) const {
  for (std::size_t length : lengths_) {
    if (length > text.size()) continue;
    const Token* token = find(text.substr(0, length));
    if (token && (token->always || special == Special::recognise)) return token;
  }
  return nullptr;
}

void SpecialTokens::split(std::string_view text, Special special, const OnText& on_text,
                          const OnToken& on_token) const {
  std::size_t done = 0;
  const bool look = !tokens_.empty() && (any_always_ || special == Special::recognise);
  for (std::size_t i = 0; look && i < text.size();) {
    const Token* token =
        begins_[static_cast<unsigned char>(text[i])] ? match_at(text.substr(i), special) : nullptr;
    if (!token) {
      ++i;
      continue;
    }
    std::string_view before = text.substr(done, i - done);
    if (token->strip_left) before = before.substr(0, before.find_last_not_of(kAsciiSpace) + 1);
    if (!before.empty()) on_text(before);
    on_token(token->id);
    i += token->name.size();
    if (token->strip_right) i = std::min(text.find_first_not_of(kAsciiSpace, i), text.size());
    done = i;
  }
  if (done < text.size()) on_text(text.substr(done));
}

}  // namespace caravan::io
