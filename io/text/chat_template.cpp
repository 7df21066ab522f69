#include "io/text/chat_template.hpp"

#include "io/text/sha256.hpp"

namespace caravan::io {
namespace {

/// Of the released template after normalised(). There is nothing here that could run Jinja, so that a
/// template is known or not: one word more may put words into a conversation.
constexpr std::string_view kLlama4 = "39a2d58cd17c28a4383fc4a097bee0ddd4056310d6a3698910c5a7843eeacc8f";

/// Each stretch of white space as one blank, and none at the ends.
std::string normalised(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  std::string out;
  for (std::size_t at = text.find_first_not_of(kSpace); at != std::string_view::npos;) {
    const std::size_t end = text.find_first_of(kSpace, at);
    if (!out.empty()) out += ' ';
    out += text.substr(at, end - at);
    at = text.find_first_not_of(kSpace, end);
  }
  return out;
}

}  // namespace

bool is_llama4_chat_template(std::string_view text) {
  return sha256(normalised(text)) == kLlama4;
}

}  // namespace caravan::io
