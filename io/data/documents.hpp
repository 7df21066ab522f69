#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/tokenizer.hpp"

namespace caravan::io {

/// How files hold documents.
struct DocumentFormat {
  enum class Kind { by_name, text, json_lines };  ///< by_name: *.jsonl and *.json are JSON lines
  enum class Separator { file, blank_line, line };
  Kind kind = Kind::by_name;
  Separator separator = Separator::file;  ///< of text
  std::string field = "text";             ///< of a JSON line's object
};

/// "text", "jsonl", "auto"; "file", "blank-line", "line". ConfigError for other words.
DocumentFormat::Kind document_kind(std::string_view name);
DocumentFormat::Separator document_separator(std::string_view name);

/// Calls `take` with the text of every document that is not empty, any bytes, valid for that call. IoError
/// with file and line for a line that is not an object with the field.
void for_each_document(const std::string& path, const DocumentFormat& format,
                       const std::function<void(std::string_view)>& take);

/// Turns documents into tokens, with BOS before and EOS after when asked for.
class DocumentEncoder {
 public:
  enum class Border { none, token };
  /// ConfigError when the tokenizer lacks a border that is asked for. Borrows the tokenizer.
  DocumentEncoder(const Tokenizer& tokenizer, Border bos, Border eos);
  /// Adds the tokens of one document; special tokens in it are plain text.
  void encode(std::string_view document, std::vector<std::int32_t>& out) const;

 private:
  const Tokenizer& tokenizer_;
  std::vector<std::int32_t> before_, after_;
};

}  // namespace caravan::io
