#include <fmt/format.h>

#include <filesystem>

#include "caravan/error.hpp"
#include "io/data/json_lines.hpp"
#include "io/text/chat_template.hpp"
#include "io/text/readers.hpp"
#include "io/text/tokenizer_config.hpp"

// A build without simdjson: tokenizers and texts in JSON are refused by name.
namespace caravan::io {
namespace {

[[noreturn]] void refuse(const std::string& path) {
  throw IoError(fmt::format(
      "{}: JSON (this build was made without simdjson). Install libsimdjson-dev and build again?", path));
}

}  // namespace

std::unique_ptr<Tokenizer> read_tokenizer_json(std::string_view, const std::string& path) {
  refuse(path);
}

/// Beside a tokenizer that is no JSON itself there need not be any.
TokenizerConfig read_tokenizer_config(const std::string& tokenizer) {
  const std::filesystem::path named = tokenizer, file = named.parent_path() / "tokenizer_config.json";
  if (named.stem() == "tokenizer" && std::filesystem::exists(file)) refuse(file);
  return {};
}

std::vector<ChatTemplate> stored_chat_templates(const std::string& folder) {
  for (const char* name : {"tokenizer_config.json", "chat_template.json", "chat_template.jinja"}) {
    const std::filesystem::path file = std::filesystem::path(folder) / name;
    if (std::filesystem::exists(file)) refuse(file);
  }
  return {};
}

struct JsonLines::Parser {};

JsonLines::JsonLines(TextReader& reader, const std::string& field, Content nul, TextRepairs& repairs)
    : reader_(reader), field_(field), nul_(nul), repairs_(repairs) {
  refuse(reader.name());
}

JsonLines::~JsonLines() = default;

void JsonLines::read(const std::function<void(std::string_view)>&) {}

}  // namespace caravan::io
