#include "io/data/documents.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "caravan/check.hpp"
#include "io/data/json_lines.hpp"
#include "io/data/text_lines.hpp"

namespace caravan::io {
namespace {

using Take = std::function<void(std::string_view)>;

constexpr std::size_t kStretchBytes = std::size_t{4} << 20, kLongestStretch = std::size_t{64} << 20;

std::string_view without_break(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

/// Refuses what memory may not hold.
void grow(std::string& document, std::string_view more, const TextReader& reader) {
  CARAVAN_CHECK(
      more.size() <= kLongestDocument - std::min(document.size(), kLongestDocument), IoError,
      fmt::format("{}: a document of more than {} bytes (one is held in memory at a time). Does a blank "
                  "line or a line end a document (--document-separator, in a job data.separator)?",
                  reader.name(), kLongestDocument));
  document.append(more);
}

void take_whole(TextReader& reader, const Take& take) {
  std::string document, piece;
  for (; reader.append_to(piece); piece.clear()) grow(document, piece, reader);
  if (!document.empty()) take(document);
}

void split_at_blank_lines(TextReader& reader, const Take& take) {
  TextLines lines(reader);
  std::string document;
  while (const auto line = lines.next()) {
    if (!is_blank(*line)) {
      grow(document, *line, reader);
      continue;
    }
    if (!document.empty()) take(document);
    document.clear();
  }
  if (!document.empty()) take(document);
}

void split_at_lines(TextReader& reader, const Take& take) {
  TextLines lines(reader);
  while (const auto line = lines.next()) {
    if (!is_blank(*line)) take(without_break(*line));
  }
}

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// The last place from `first` on that lies behind a line's end and before a letter or digit; 0: none.
std::size_t last_cut(std::string_view text, std::size_t first) {
  for (std::size_t at = text.size(); at-- > std::max<std::size_t>(first, 1);) {
    if (text[at - 1] == '\n' && is_letter_or_digit(text[at])) return at;
  }
  return 0;
}

void cut_into_stretches(TextReader& reader, const Take& take) {
  std::string text;
  std::size_t searched = 0;
  while (reader.append_to(text)) {
    if (text.size() < kStretchBytes) continue;
    std::size_t cut = last_cut(text, searched);
    searched = text.size();
    if (cut == 0 && text.size() < kLongestStretch) continue;
    if (cut == 0) cut = text.size();
    take(std::string_view(text).substr(0, cut));
    text.erase(0, cut);
    searched = 0;
  }
  if (!text.empty()) take(text);
}

std::string_view without_packing(std::string_view path) {
  for (const std::string_view suffix : {".gz", ".zst"}) {
    if (path.ends_with(suffix)) return path.substr(0, path.size() - suffix.size());
  }
  return path;
}

bool is_json_lines(const std::string& path, DocumentFormat::Kind kind) {
  if (kind != DocumentFormat::Kind::by_name) return kind == DocumentFormat::Kind::json_lines;
  const std::string_view name = without_packing(path);
  return name.ends_with(".jsonl") || name.ends_with(".json");
}

/// Files of columns, which no package of Debian 12 reads.
void refuse_columns(const std::string& path, Content content) {
  if (content == Content::binary) return;
  for (const std::string_view ending : {".parquet", ".arrow", ".feather"})
    CARAVAN_CHECK(
        !without_packing(path).ends_with(ending), IoError,
        fmt::format("{}: a file of columns, {} (texts and JSON lines are read). Write its text as JSON "
                    "lines with pyarrow and prepare these by --input - --format jsonl, as "
                    "docs/data.md shows?",
                    path, ending));
}

std::vector<std::int32_t> border_token(std::optional<std::int32_t> id, std::string_view name) {
  CARAVAN_CHECK(id, ConfigError,
                fmt::format("the tokenizer has no {} token (it was asked for). Leave {} out?", name, name));
  return {*id};
}

}  // namespace

DocumentFormat::Kind document_kind(std::string_view name) {
  if (name == "auto") return DocumentFormat::Kind::by_name;
  if (name == "text") return DocumentFormat::Kind::text;
  CARAVAN_CHECK(name == "jsonl", ConfigError,
                fmt::format("format '{}' (must be one of: auto, text, jsonl)", name));
  return DocumentFormat::Kind::json_lines;
}

DocumentFormat::Separator document_separator(std::string_view name) {
  if (name == "file") return DocumentFormat::Separator::file;
  if (name == "blank-line") return DocumentFormat::Separator::blank_line;
  CARAVAN_CHECK(name == "line", ConfigError,
                fmt::format("separator '{}' (must be one of: file, blank-line, line)", name));
  return DocumentFormat::Separator::line;
}

void for_each_document(const std::string& path, const DocumentFormat& format, TextRepairs& repairs,
                       const Take& take) {
  refuse_columns(path, format.content);
  const bool is_json = is_json_lines(path, format.kind);
  TextReader reader(path, is_json ? Content::text : format.content, repairs);  // JSON is text always
  if (is_json) return JsonLines(reader, format.field, format.content, repairs).read(take);
  switch (format.separator) {
    case DocumentFormat::Separator::blank_line:
      return split_at_blank_lines(reader, take);
    case DocumentFormat::Separator::line:
      return split_at_lines(reader, take);
    case DocumentFormat::Separator::anywhere:
      return cut_into_stretches(reader, take);
    case DocumentFormat::Separator::file:
      return take_whole(reader, take);
  }
}

DocumentEncoder::DocumentEncoder(const Tokenizer& tokenizer, Border bos, Border eos) : tokenizer_(tokenizer) {
  if (bos == Border::token) before_ = border_token(tokenizer.bos(), "bos");
  if (eos == Border::token) after_ = border_token(tokenizer.eos(), "eos");
}

void DocumentEncoder::encode(std::string_view document, std::vector<std::int32_t>& out) const {
  out.insert(out.end(), before_.begin(), before_.end());
  const auto ids = tokenizer_.encode(document, Special::as_text);
  out.insert(out.end(), ids.begin(), ids.end());
  out.insert(out.end(), after_.begin(), after_.end());
}

}  // namespace caravan::io
