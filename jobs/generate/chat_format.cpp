#include "jobs/generate/chat_format.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string>

#include "caravan/check.hpp"
#include "io/text/characters.hpp"

namespace caravan::jobs {
namespace {

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(io::space_at_start(text));
  return io::without_space_at_end(text);
}

}  // namespace

ChatFormat::ChatFormat(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
  std::vector<std::string> missing;
  const auto take = [&](const char* name) {
    const auto id = tokenizer.special_id(name);
    if (!id) missing.emplace_back(name);
    return id.value_or(0);
  };
  begin_ = take("<|begin_of_text|>");
  header_start_ = take("<|header_start|>");
  header_end_ = take("<|header_end|>");
  eot_ = take("<|eot|>");
  CARAVAN_CHECK(missing.empty(), ConfigError,
                fmt::format("the tokenizer ({}) has no {} (--chat needs Llama 4's special tokens). Is it a "
                            "model for conversations?",
                            tokenizer.description(), fmt::join(missing, ", ")));
  stops_.push_back(eot_);
  if (const auto eom = tokenizer.special_id("<|eom|>")) stops_.push_back(*eom);
}

std::vector<std::int32_t> ChatFormat::prompt(const Conversation& conversation) const {
  std::vector<std::int32_t> ids{begin_};
  const std::vector<Message>& messages = conversation.messages();
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const bool is_first_system = i == 0 && messages[i].role == "system";
    // The template trims the system message that comes first, and no other.
    const std::string_view content = is_first_system ? trimmed(messages[i].content) : messages[i].content;
    add_message(messages[i].role, content, conversation.place(i), ids);
  }
  add_header("assistant", ids);
  const auto blank_line = tokenizer_.encode("\n\n", Special::as_text);
  ids.insert(ids.end(), blank_line.begin(), blank_line.end());
  return ids;
}

void ChatFormat::add_header(std::string_view role, std::vector<std::int32_t>& ids) const {
  const auto name = tokenizer_.encode(role, Special::as_text);
  ids.push_back(header_start_);
  ids.insert(ids.end(), name.begin(), name.end());
  ids.push_back(header_end_);
}

/// The blank line and the content are one text between two special tokens, and encoded as one.
void ChatFormat::add_message(std::string_view role, std::string_view content, const std::string& place,
                             std::vector<std::int32_t>& ids) const {
  add_header(role, ids);
  const auto text = tokenizer_.encode("\n\n" + std::string(content), Special::as_text);
  expect_no_turns(text, place);
  ids.insert(ids.end(), text.begin(), text.end());
  ids.push_back(eot_);
}

/// A tokenizer.json may say of a token that it is one in any text ("special": false), or have its name among
/// the ordinary ones.
void ChatFormat::expect_no_turns(std::span<const std::int32_t> text, const std::string& place) const {
  const std::array frame{begin_, header_start_, header_end_, eot_};
  for (std::int32_t id : text) {
    const bool is_turn = std::find(frame.begin(), frame.end(), id) != frame.end() ||
                         std::find(stops_.begin(), stops_.end(), id) != stops_.end();
    CARAVAN_CHECK(!is_turn, ConfigError,
                  fmt::format("{}: '{}' in its content (this tokenizer makes the token of it in any text, "
                              "which would forge a turn). Leave it out?",
                              place, tokenizer_.name_of(id)));
  }
}

}  // namespace caravan::jobs
