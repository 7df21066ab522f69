#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/tokenizer.hpp"
#include "io/data/text_reader.hpp"

namespace caravan::io {

/// How files hold documents.
struct DocumentFormat {
  /// by_name: *.jsonl and *.json are JSON lines, also with .gz or .zst behind.
  enum class Kind { by_name, text, json_lines };
  /// Of text. anywhere: pieces of a few MiB, cut between a line's end and a letter or digit, where Llama 4's
  /// split always cuts; for counting words of what has no bound.
  enum class Separator { file, blank_line, line, anywhere };
  Kind kind = Kind::by_name;
  Separator separator = Separator::file;
  std::string field = "text";       ///< of a JSON line's object
  Content content = Content::text;  ///< binary: text of any bytes, and documents with NUL in JSON lines
};

/// "text", "jsonl", "auto"; "file", "blank-line", "line". ConfigError for other words.
DocumentFormat::Kind document_kind(std::string_view name);
DocumentFormat::Separator document_separator(std::string_view name);

/// Calls `take` with the text of every document that is not empty, valid for that call. `path`: as for
/// open_bytes. Holds one document at a time, which may have a GiB. IoError with file and place for what is no
/// text, for a line that is not an object with the field, and for a longer document.
void for_each_document(const std::string& path, const DocumentFormat& format, TextRepairs& repairs,
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
