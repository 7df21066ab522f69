#include "io/text/load_tokenizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "caravan/check.hpp"
#include "io/files/file.hpp"
#include "io/text/readers.hpp"
#include "io/text/tokenizer_files.hpp"

namespace caravan::io {
namespace {

std::string file_in(const std::string& folder) {
  const std::string file = find_tokenizer_file(folder);
  CARAVAN_CHECK(!file.empty(), IoError,
                fmt::format("'{}' holds no tokenizer.json and no tokenizer.model (one of them is needed). "
                            "Name the file?",
                            folder));
  return file;
}

bool looks_like_json(std::string_view bytes) {
  const std::size_t first = bytes.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && bytes[first] == '{';
}

/// base64, one blank, digits.
bool looks_like_tiktoken(std::string_view bytes) {
  const std::string_view line = bytes.substr(0, bytes.find('\n'));
  const std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos || blank == 0 || blank + 1 == line.size()) return false;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto is_base64 = [is_digit](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || is_digit(c) || c == '+' || c == '/' ||
           c == '=';
  };
  return std::ranges::all_of(line.substr(0, blank), is_base64) &&
         std::ranges::all_of(line.substr(blank + 1), is_digit);
}

/// A ModelProto begins with its first piece: field 1, length-delimited.
bool looks_like_sentencepiece(std::string_view bytes) {
  return !bytes.empty() && bytes.front() == '\n';
}

std::unique_ptr<Tokenizer> read_any(const std::string& file) {
  const std::string bytes = read_text(file, kMostTokenizerBytes);
  if (looks_like_json(bytes)) return read_tokenizer_json(bytes, file);
  if (looks_like_tiktoken(bytes)) return read_tiktoken(bytes, file);
  if (looks_like_sentencepiece(bytes)) return read_sentencepiece(bytes, file);
  throw IoError(fmt::format(
      "'{}' is no tokenizer ({} bytes that begin neither as JSON, nor as 'base64 rank' lines, nor as "
      "a SentencePiece model). Name a tokenizer.json or tokenizer.model?",
      file, bytes.size()));
}

}  // namespace

std::string tokenizer_file(const std::string& path) {
  return std::filesystem::is_directory(path) ? file_in(path) : path;
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path) {
  const std::string file = tokenizer_file(path);
  try {
    return read_any(file);
  } catch (Error& error) {
    error.add_context(fmt::format("tokenizer '{}'", file));
    throw;
  }
}

}  // namespace caravan::io
