#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "io/text/bpe_tokenizer.hpp"
#include "io/text/json_reader.hpp"
#include "io/text/readers.hpp"
#include "io/text/tokenizer_json_borders.hpp"
#include "io/text/tokenizer_json_post_processor.hpp"
#include "io/text/tokenizer_json_vocabulary.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kMostSteps = 16;

/// The section `pre_tokenizer`: its steps, and what a piece consists of in the end.
struct Splitting {
  std::vector<SplitStep> steps;
  PreTokenizer::Prefix prefix = PreTokenizer::Prefix::none;
  BpeModel::Unit unit = BpeModel::Unit::character;
};

void add_byte_level(const JsonNode& node, Splitting& splitting) {
  CARAVAN_CHECK(splitting.unit == BpeModel::Unit::character, IoError,
                fmt::format("{}: a second step after ByteLevel (it is always the last). Is the file damaged?",
                            node.where()));
  const bool prefixes = node.flag("add_prefix_space", true);
  CARAVAN_CHECK(
      !prefixes || splitting.steps.empty(), IoError,
      fmt::format("{}: add_prefix_space after a Split (this reader adds the space to the whole text only). "
                  "Another tokenizer?",
                  node.where()));
  if (prefixes) splitting.prefix = PreTokenizer::Prefix::space;
  if (node.flag("use_regex", true))
    splitting.steps.push_back({Regex(kGpt2Split), SplitStep::Matches::isolated});
  splitting.unit = BpeModel::Unit::byte;
}

SplitStep read_split(const JsonNode& node) {
  const JsonNode pattern = node.at("pattern");
  const auto regex = pattern.find("Regex");
  const auto literal = pattern.find("String");
  CARAVAN_CHECK(regex || literal, IoError,
                fmt::format("{}: neither Regex nor String. Is the file damaged?", pattern.where()));
  const std::string_view behavior = node.at("behavior").text();
  CARAVAN_CHECK(behavior == "Isolated" || behavior == "Removed", IoError,
                fmt::format("{}: behavior '{}' (this reader knows Isolated and Removed). Another tokenizer?",
                            node.where(), behavior));
  CARAVAN_CHECK(
      !node.flag("invert", false) || behavior == "Isolated", IoError,
      fmt::format("{}: invert with '{}' (this reader knows it with Isolated, where it changes nothing). "
                  "Another tokenizer?",
                  node.where(), behavior));
  return {regex ? Regex(regex->text()) : Regex(literal->text(), Regex::Syntax::literal),
          behavior == "Isolated" ? SplitStep::Matches::isolated : SplitStep::Matches::removed};
}

void add_step(const JsonNode& node, Splitting& splitting) {
  CARAVAN_CHECK(splitting.steps.size() < kMostSteps, IoError,
                fmt::format("{}: more than {} steps. Is the file damaged?", node.where(), kMostSteps));
  const std::string_view type = node.at("type").text();
  if (type == "ByteLevel") return add_byte_level(node, splitting);
  CARAVAN_CHECK(
      type == "Split", IoError,
      fmt::format("{}: type '{}' (this reader knows Sequence, Split and ByteLevel). Another tokenizer?",
                  node.where(), type));
  CARAVAN_CHECK(
      splitting.unit == BpeModel::Unit::character, IoError,
      fmt::format("{}: a Split after ByteLevel (this reader knows it before only). Another tokenizer?",
                  node.where()));
  splitting.steps.push_back(read_split(node));
}

Splitting read_splitting(const JsonNode& root) {
  Splitting splitting;
  const auto section = root.find("pre_tokenizer");
  if (!section) return splitting;
  if (section->at("type").text() != "Sequence") {
    add_step(*section, splitting);
    return splitting;
  }
  const JsonNode list = section->at("pretokenizers");
  for (simdjson::dom::element step : list.array()) add_step(JsonNode(step, list.where()), splitting);
  return splitting;
}

/// A sequence of nothing changes nothing.
void check_normalizer(const JsonNode& node) {
  const std::string_view type = node.at("type").text();
  CARAVAN_CHECK(type == "Sequence", IoError,
                fmt::format("{}: type '{}' (this reader knows tokenizers without a normalizer). Use its "
                            "tokenizer.model?",
                            node.where(), type));
  const JsonNode list = node.at("normalizers");
  for (simdjson::dom::element step : list.array()) check_normalizer(JsonNode(step, list.where()));
}

void check_supported(const JsonNode& root, BpeModel::Unit unit) {
  if (const auto normalizer = root.find("normalizer")) check_normalizer(*normalizer);
  const auto decoder = root.find("decoder");
  const std::string_view type = decoder ? decoder->at("type").text() : "none";
  CARAVAN_CHECK(
      type == (unit == BpeModel::Unit::byte ? "ByteLevel" : "none") || type == "Fuse", IoError,
      fmt::format(
          "{}: decoder '{}' does not fit (ByteLevel belongs to the pre-tokenizer ByteLevel, none to none). "
          "Another tokenizer?",
          root.where(), type));
}

SpecialTokens::Token read_added_token(const JsonNode& node) {
  const std::int64_t id = node.at("id").integer();
  CARAVAN_CHECK(id >= 0 && id < kMostTokenIds, IoError,
                fmt::format("{}: id {} (ids go from 0 to {}). Is the file damaged?", node.where(), id,
                            kMostTokenIds - 1));
  const bool special = node.flag("special", false);
  return {.name = std::string(node.at("content").text()),
          .id = static_cast<std::int32_t>(id),
          .always = !special,
          .strip_left = node.flag("lstrip", false),
          .strip_right = node.flag("rstrip", false),
          .single_word = node.flag("single_word", false),
          .last = node.flag("normalized", !special)};
}

void check_added_token(const SpecialTokens::Token& token, const JsonNode& node,
                       const std::vector<std::string>& names) {
  const auto index = static_cast<std::size_t>(token.id);
  const bool is_free = index >= names.size() || names[index].empty() || names[index] == token.name;
  CARAVAN_CHECK(is_free, IoError,
                fmt::format("{}: id {} of '{}' is '{}' in the vocabulary. Is the file damaged?", node.where(),
                            token.id, token.name, names[index]));
}

/// Tokens around a text must be some.
void check_frame(const BpeTokenizer::Parts& parts, const std::string& path) {
  std::int64_t known = static_cast<std::int64_t>(parts.names.size());
  for (const SpecialTokens::Token& token : parts.specials)
    known = std::max<std::int64_t>(known, token.id + 1);
  for (const auto* ids : {&parts.frame.before, &parts.frame.after})
    for (std::int32_t id : *ids)
      CARAVAN_CHECK(id < known, IoError,
                    fmt::format("{}: post_processor: id {} (the vocabulary has {} ids). Is the file damaged?",
                                path, id, known));
}

void read_added_tokens(const JsonNode& root, BpeTokenizer::Parts& parts) {
  const auto section = root.find("added_tokens");
  if (!section) return;
  for (simdjson::dom::element element : section->array()) {
    const JsonNode node(element, fmt::format("{}[{}]", section->where(), parts.specials.size()));
    parts.specials.push_back(read_added_token(node));
    check_added_token(parts.specials.back(), node, parts.names);
  }
}

}  // namespace

std::unique_ptr<Tokenizer> read_tokenizer_json(std::string_view bytes, const std::string& path) {
  const JsonDocument document(bytes, path);
  const JsonNode& root = document.root();
  BpeTokenizer::Parts parts;
  parts.format = "tokenizer.json";
  Splitting splitting = read_splitting(root);
  check_supported(root, splitting.unit);
  read_bpe_model(root.at("model"), splitting.unit, parts);
  read_added_tokens(root, parts);
  parts.frame = read_post_processor(root);
  check_frame(parts, path);
  name_borders(path, parts);
  parts.pre_tokenizer = PreTokenizer(std::move(splitting.steps), splitting.prefix);
  return std::make_unique<BpeTokenizer>(std::move(parts));
}

}  // namespace caravan::io
