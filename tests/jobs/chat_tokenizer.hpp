#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace caravan::test {

/// The special tokens of conversations; the first has the id 256.
inline const std::vector<std::string> kChatTokens{"<|begin_of_text|>", "<|header_start|>", "<|header_end|>",
                                                  "<|eot|>", "<|eom|>"};
inline constexpr int kBegin = 256, kHeaderStart = 257, kHeaderEnd = 258, kEot = 259, kEom = 260;

/// How a byte-level tokenizer.json spells a byte: printable characters of Latin-1 as themselves, the others
/// as those from U+0100.
inline std::string spelled_byte(int byte) {
  const auto is_itself = [](int b) { return (b > 32 && b < 127) || (b > 160 && b != 173); };
  int code = byte;
  if (!is_itself(byte)) {
    code = 256;
    for (int b = 0; b < byte; ++b) code += is_itself(b) ? 0 : 1;
  }
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
}

/// A tokenizer whose ids are the bytes, and special tokens from 256; `special` false: recognised in any text.
inline void write_chat_tokenizer(const std::string& file,
                                 const std::vector<std::string>& tokens = kChatTokens, bool special = true) {
  nlohmann::json vocabulary = nlohmann::json::object(), added = nlohmann::json::array();
  for (int byte = 0; byte < 256; ++byte) vocabulary[spelled_byte(byte)] = byte;
  for (std::size_t i = 0; i < tokens.size(); ++i)
    added.push_back({{"id", 256 + i}, {"content", tokens[i]}, {"special", special}});
  const nlohmann::json level{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  std::ofstream(file) << nlohmann::json{
      {"added_tokens", added},
      {"pre_tokenizer", level},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", nlohmann::json::array()}}}};
}

}  // namespace caravan::test
