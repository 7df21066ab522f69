#include "io/text/tokenizer_config.hpp"

#include <filesystem>

#include "io/files/file.hpp"
#include "io/text/json_reader.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostConfigBytes = 16u << 20;

/// The value is a name, or an object whose `content` is the name.
std::optional<std::string> name_in(const JsonNode& root, std::string_view key) {
  const auto node = root.find(key);
  if (!node) return std::nullopt;
  return std::string(node->is_string() ? node->text() : node->at("content").text());
}

std::optional<bool> flag_in(const JsonNode& root, std::string_view key) {
  const auto node = root.find(key);
  return node ? std::optional(node->boolean()) : std::nullopt;
}

/// Names that tokenizer_config.json does not mention; older releases wrote them to a file of their own.
void add_missing_names(const fs::path& file, const JsonNode& config, TokenizerConfig& found) {
  if (!fs::exists(file)) return;
  const JsonDocument document(read_text(file, kMostConfigBytes), file);
  if (!config.says_null("bos_token") && !found.bos) found.bos = name_in(document.root(), "bos_token");
  if (!config.says_null("eos_token") && !found.eos) found.eos = name_in(document.root(), "eos_token");
}

}  // namespace

TokenizerConfig read_tokenizer_config(const std::string& tokenizer) {
  const fs::path folder = fs::path(tokenizer).parent_path(), file = folder / "tokenizer_config.json";
  TokenizerConfig found;
  if (fs::path(tokenizer).stem() != "tokenizer" || !fs::exists(file)) return found;
  found.path = file;
  const JsonDocument document(read_text(file, kMostConfigBytes), file);
  const JsonNode& root = document.root();
  found.bos = name_in(root, "bos_token");
  found.eos = name_in(root, "eos_token");
  found.add_bos = flag_in(root, "add_bos_token");
  found.add_eos = flag_in(root, "add_eos_token");
  found.says_no_bos = root.says_null("bos_token");
  add_missing_names(folder / "special_tokens_map.json", root, found);
  return found;
}

}  // namespace caravan::io
