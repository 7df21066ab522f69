#include <filesystem>

#include "io/files/file.hpp"
#include "io/text/chat_template.hpp"
#include "io/text/json_reader.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostBytes = 16u << 20;

/// The value is a template, or a list of them with names.
void add_template(const JsonNode& value, const std::string& file, std::vector<ChatTemplate>& found) {
  if (value.is_string()) return found.push_back({file, std::string(value.text())});
  for (const simdjson::dom::element each : value.array()) {
    const JsonNode named(each, value.where());
    if (named.at("name").text() == "default")
      found.push_back({file, std::string(named.at("template").text())});
  }
}

}  // namespace

std::vector<ChatTemplate> stored_chat_templates(const std::string& folder) {
  std::vector<ChatTemplate> found;
  const fs::path jinja = fs::path(folder) / "chat_template.jinja";
  if (fs::exists(jinja)) found.push_back({jinja, read_text(jinja, kMostBytes)});
  for (const char* name : {"chat_template.json", "tokenizer_config.json"}) {
    const fs::path file = fs::path(folder) / name;
    if (!fs::exists(file)) continue;
    const JsonDocument document(read_text(file, kMostBytes), file);
    if (const auto value = document.root().find("chat_template")) add_template(*value, file, found);
  }
  return found;
}

}  // namespace caravan::io
