#include "io/data/documents.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <optional>

#include "caravan/check.hpp"
#include "io/files/file.hpp"

namespace caravan::io {
namespace {

using Take = std::function<void(std::string_view)>;

constexpr std::size_t kMostLevels = 64;
constexpr std::size_t kLongestJsonLine = std::size_t{1} << 30;

/// The first line of `text` with its line break; removes it.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end);
  return line;
}

std::string_view without_break(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

void split_at_blank_lines(std::string_view text, const Take& take) {
  const char* begin = text.data();
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (!is_blank(line)) continue;
    if (line.data() != begin) take({begin, static_cast<std::size_t>(line.data() - begin)});
    begin = text.data();
  }
  if (text.data() != begin) take({begin, static_cast<std::size_t>(text.data() - begin)});
}

void split_at_lines(std::string_view text, const Take& take) {
  while (!text.empty()) {
    const std::string_view line = without_break(take_line(text));
    if (!is_blank(line)) take(line);
  }
}

class JsonLines {
 public:
  JsonLines(const std::string& path, const std::string& field) : path_(path), field_(field) {
    CARAVAN_CHECK(!parser_.allocate(1 << 16, kMostLevels), IoError, "no memory to read JSON");
  }

  void read(std::string_view text, const Take& take) {
    for (std::size_t number = 1; !text.empty(); ++number) {
      const std::string_view line = take_line(text);
      if (is_blank(line)) continue;
      const std::string_view document = document_of(line, number);
      if (!document.empty()) take(document);
    }
  }

 private:
  std::string_view document_of(std::string_view line, std::size_t number) {
    CARAVAN_CHECK(line.size() <= kLongestJsonLine, IoError,
                  fmt::format("{}:{}: a line of {} bytes (at most {} are read)", path_, number, line.size(),
                              kLongestJsonLine));
    simdjson::dom::object object;
    std::string_view document;
    simdjson::error_code error = parser_.parse(line.data(), line.size()).get(object);
    if (!error) error = object.at_key(field_).get(document);
    CARAVAN_CHECK(
        !error, IoError,
        fmt::format(
            "{}:{}: {} (every line is an object whose field '{}' is a string of valid UTF-8). Another "
            "--field or --format?",
            path_, number, simdjson::error_message(error), field_));
    return document;
  }

  const std::string& path_;
  const std::string& field_;
  simdjson::dom::parser parser_;
};

DocumentFormat::Kind kind_of(const std::string& path, DocumentFormat::Kind kind) {
  if (kind != DocumentFormat::Kind::by_name) return kind;
  const bool is_json = path.ends_with(".jsonl") || path.ends_with(".json");
  return is_json ? DocumentFormat::Kind::json_lines : DocumentFormat::Kind::text;
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

void for_each_document(const std::string& path, const DocumentFormat& format, const Take& take) {
  const MappedFile file(path);
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  if (kind_of(path, format.kind) == DocumentFormat::Kind::json_lines)
    return JsonLines(path, format.field).read(text, take);
  switch (format.separator) {
    case DocumentFormat::Separator::blank_line:
      return split_at_blank_lines(text, take);
    case DocumentFormat::Separator::line:
      return split_at_lines(text, take);
    case DocumentFormat::Separator::file:
      break;
  }
  if (!text.empty()) take(text);
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
