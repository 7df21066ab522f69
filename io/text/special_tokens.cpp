#include "io/text/special_tokens.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "caravan/check.hpp"
#include "io/text/characters.hpp"

namespace caravan::io {

SpecialTokens::SpecialTokens(std::vector<Token> tokens)
    : tokens_(std::move(tokens)), passes_{pass_over(tokens_, false), pass_over(tokens_, true)} {
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
  }
}

SpecialTokens::Pass SpecialTokens::pass_over(const std::vector<Token>& tokens, bool last) {
  Pass pass;
  std::set<std::size_t, std::greater<>> lengths;
  for (const Token& token : tokens) {
    if (token.last != last || token.name.empty()) continue;
    pass.begins.resize(256, false);
    pass.begins[static_cast<unsigned char>(token.name[0])] = true;
    pass.any_always = pass.any_always || token.always;
    lengths.insert(token.name.size());
  }
  pass.lengths.assign(lengths.begin(), lengths.end());
  return pass;
}

const SpecialTokens::Token* SpecialTokens::find(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? nullptr : &tokens_[found->second];
}

const SpecialTokens::Token* SpecialTokens::find(std::int32_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

const SpecialTokens::Token* SpecialTokens::match_at(std::string_view text, bool last) const {
  const Pass& pass = passes_[last];
  if (!pass.begins[static_cast<unsigned char>(text[0])]) return nullptr;
  for (std::size_t length : pass.lengths) {
    if (length > text.size()) continue;
    const Token* token = find(text.substr(0, length));
    if (token && token->last == last) return token;
  }
  return nullptr;
}

void SpecialTokens::split(std::string_view text, Special special, const OnText& on_text,
                          const OnToken& on_token) const {
  split_once(
      text, special, false,
      [&](std::string_view part) { split_once(part, special, true, on_text, on_token); }, on_token);
}

/// A name that is found takes its bytes even where it does not count, and a name in the white space that the
/// token before it took counts all the same.
void SpecialTokens::split_once(std::string_view text, Special special, bool last, const OnText& on_text,
                               const OnToken& on_token) const {
  const Pass& pass = passes_[last];
  const bool look = !pass.begins.empty() && (pass.any_always || special == Special::recognise);
  std::size_t done = 0;
  for (std::size_t i = 0; look && i < text.size();) {
    const Token* token = match_at(text.substr(i), last);
    if (!token) {
      ++i;
      continue;
    }
    const std::size_t begin = i, end = i += token->name.size();
    if (!token->always && special != Special::recognise) continue;
    if (token->single_word && (ends_with_word(text.substr(0, begin)) || begins_with_word(text.substr(end))))
      continue;
    std::string_view before = text.substr(done, begin < done ? 0 : begin - done);
    if (token->strip_left) before = without_space_at_end(before);
    if (!before.empty()) on_text(before);
    on_token(token->id);
    done = token->strip_right ? end + space_at_start(text.substr(end)) : end;
  }
  if (done < text.size()) on_text(text.substr(done));
}

}  // namespace caravan::io
