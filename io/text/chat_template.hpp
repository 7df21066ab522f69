#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace caravan::io {

/// A Jinja template that turns a conversation into a text, as a file of Hugging Face's stores it.
struct ChatTemplate {
  std::string file, text;
};

/// Those in chat_template.jinja, chat_template.json and tokenizer_config.json of `folder`; of a list of named
/// ones the one called default. IoError naming the file when it cannot be read.
std::vector<ChatTemplate> stored_chat_templates(const std::string& folder);

/// Whether `text` is the template of Llama 4's released instruct models; how its white space is laid out does
/// not count.
bool is_llama4_chat_template(std::string_view text);

}  // namespace caravan::io
