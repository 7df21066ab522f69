#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "caravan/tokenizer.hpp"
#include "jobs/generate/conversation.hpp"

namespace caravan::jobs {

/// How Llama 4 is told a conversation: <|begin_of_text|>, of each message
/// <|header_start|>role<|header_end|>\n\ncontent<|eot|>, and the header of the answer.
/// Source: the chat template of the released instruct models.
class ChatFormat {
 public:
  /// ConfigError naming the special tokens that `tokenizer` lacks. Borrows it.
  explicit ChatFormat(const Tokenizer& tokenizer);

  /// What a model is to continue. A content is text, whatever it spells: ConfigError naming the message where
  /// the tokenizer would make a turn's token of it.
  std::vector<std::int32_t> prompt(const Conversation& conversation) const;
  /// The tokens that end an answer: <|eot|> and, where the tokenizer has it, <|eom|>.
  const std::vector<std::int32_t>& stops() const noexcept { return stops_; }

 private:
  void add_header(std::string_view role, std::vector<std::int32_t>& ids) const;
  void add_message(std::string_view role, std::string_view content, const std::string& place,
                   std::vector<std::int32_t>& ids) const;
  void expect_no_turns(std::span<const std::int32_t> text, const std::string& place) const;

  const Tokenizer& tokenizer_;
  std::int32_t begin_ = 0, header_start_ = 0, header_end_ = 0, eot_ = 0;
  std::vector<std::int32_t> stops_;
};

}  // namespace caravan::jobs
