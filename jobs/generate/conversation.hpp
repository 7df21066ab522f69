#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace caravan::jobs {

/// One turn: who speaks (system, user or assistant), and what, as UTF-8.
struct Message {
  std::string role, content;
};

/// A conversation whose last message is the user's, so that the assistant's answer comes next.
class Conversation {
 public:
  /// `json`: a list of {"role": …, "content": …}, or {"messages": that list}. ConfigError naming `where` and
  /// the message when it is anything else.
  Conversation(std::string_view json, std::string where);

  const std::vector<Message>& messages() const noexcept { return messages_; }
  /// "talk.json: message 3", counted from 1.
  std::string place(std::size_t message) const;
  /// With the assistant's answer behind it, as one line of JSON in the form that it was given in.
  std::string with_answer(const std::string& answer) const;

 private:
  std::string where_;
  bool in_object_ = false;
  std::vector<Message> messages_;
};

/// The conversation in `file`, or on standard input where that is "-": at most 16 MiB.
Conversation read_conversation(const std::string& file);

}  // namespace caravan::jobs
