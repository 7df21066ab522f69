#include "io/text/tokenizer_json_borders.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/text/tokenizer_config.hpp"

namespace caravan::io {
namespace {

std::optional<std::int32_t> id_of(std::string_view name, const BpeTokenizer::Parts& parts) {
  for (const SpecialTokens::Token& token : parts.specials)
    if (token.name == name) return token.id;
  const auto found = std::find(parts.names.begin(), parts.names.end(), name);
  if (name.empty() || found == parts.names.end()) return std::nullopt;
  return static_cast<std::int32_t>(found - parts.names.begin());
}

std::optional<std::int32_t> usual_eos(const BpeTokenizer::Parts& parts) {
  static constexpr std::array<std::string_view, 3> kNames{"<|end_of_text|>", "</s>", "<|endoftext|>"};
  for (std::string_view name : kNames)
    for (const SpecialTokens::Token& token : parts.specials)
      if (token.name == name) return token.id;
  return std::nullopt;
}

std::optional<std::int32_t> named(const TokenizerConfig& config, const char* key,
                                  const std::optional<std::string>& name, const BpeTokenizer::Parts& parts) {
  if (!name) return std::nullopt;
  const auto id = id_of(*name, parts);
  CARAVAN_CHECK(id, IoError,
                fmt::format("{}: {}: '{}' is no token of tokenizer.json. Do the two files belong together?",
                            config.path, key, *name));
  return id;
}

/// Names both sources where they disagree about what begins a text.
void warn_about_bos(const std::string& path, const TokenizerConfig& config,
                    const BpeTokenizer::Parts& parts) {
  const bool begins = !parts.frame.before.empty();
  const bool contradicts = (config.add_bos && *config.add_bos != begins) || (config.says_no_bos && begins);
  if (!contradicts) return;
  const std::string said =
      config.says_no_bos ? "bos_token: null" : fmt::format("add_bos_token: {}", *config.add_bos);
  log_warning(
      fmt::format("{} says {}, but the post-processor of {} puts {} before a text; the post-processor "
                  "counts, as in transformers",
                  config.path, said, path, begins ? "a token" : "nothing"));
}

}  // namespace

void name_borders(const std::string& path, BpeTokenizer::Parts& parts) {
  const TokenizerConfig config = read_tokenizer_config(path);
  if (config.path.empty()) {
    const TextFrame& frame = parts.frame;
    if (!frame.before.empty()) parts.bos = frame.before.front();
    parts.eos = frame.after.empty() ? usual_eos(parts) : std::optional(frame.after.back());
    return;
  }
  parts.bos = named(config, "bos_token", config.bos, parts);
  parts.eos = named(config, "eos_token", config.eos, parts);
  warn_about_bos(path, config, parts);
}

}  // namespace caravan::io
