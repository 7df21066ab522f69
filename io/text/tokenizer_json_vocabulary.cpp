#include "io/text/tokenizer_json_vocabulary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "caravan/check.hpp"
#include "io/text/byte_alphabet.hpp"
#include "io/text/readers.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kMostMerges = 1 << 24;
// Ids may leave gaps, but not so many that a small file takes much memory.
constexpr std::size_t kAlwaysAllowedIds = 1 << 16, kMostIdsAToken = 16;

using Vocabulary = std::unordered_map<std::string_view, std::int32_t>;

void require_absent(const JsonNode& model, std::string_view key) {
  const std::string_view value = model.text_or(key, "");
  CARAVAN_CHECK(value.empty(), IoError,
                fmt::format("{}: {} '{}' (this reader knows BPE without it). Another tokenizer?",
                            model.where(), key, value));
}

void check_supported(const JsonNode& model) {
  const std::string_view type = model.text_or("type", "BPE");
  CARAVAN_CHECK(
      type == "BPE", IoError,
      fmt::format("{}: type '{}' (this reader knows BPE). Another tokenizer?", model.where(), type));
  require_absent(model, "continuing_subword_prefix");
  require_absent(model, "end_of_word_suffix");
}

Vocabulary read_vocabulary(const JsonNode& model, std::vector<std::string>& names) {
  const JsonNode section = model.at("vocab");
  const std::size_t most = std::max(kAlwaysAllowedIds, kMostIdsAToken * section.object().size());
  Vocabulary ids;
  for (const auto& [token, value] : section.object()) {
    const JsonNode node(value, fmt::format("{}: '{}'", section.where(), token));
    const std::int64_t id = node.integer();
    CARAVAN_CHECK(id >= 0 && id < kMostTokenIds, IoError,
                  fmt::format("{}: id {} (ids go from 0 to {}). Is the file damaged?", node.where(), id,
                              kMostTokenIds - 1));
    CARAVAN_CHECK(
        !token.empty() && ids.emplace(token, static_cast<std::int32_t>(id)).second, IoError,
        fmt::format("{}: empty or stands twice (a token has one id). Is the file damaged?", node.where()));
    const auto index = static_cast<std::size_t>(id);
    CARAVAN_CHECK(index < most, IoError,
                  fmt::format("{}: id {} among {} tokens (ids have few gaps). Is the file damaged?",
                              node.where(), id, section.object().size()));
    if (index >= names.size()) names.resize(index + 1);
    CARAVAN_CHECK(names[index].empty(), IoError,
                  fmt::format("{}: id {} is also '{}' (an id is one token). Is the file damaged?",
                              node.where(), id, names[index]));
    names[index] = token;
  }
  CARAVAN_CHECK(!names.empty(), IoError,
                fmt::format("{}: empty (a tokenizer needs tokens). Is the file damaged?", section.where()));
  return ids;
}

/// "left right" or ["left", "right"].
std::pair<std::string_view, std::string_view> read_merge(const JsonNode& node) {
  if (node.is_string()) {
    const std::string_view text = node.text();
    const std::size_t blank = text.find(' ');
    CARAVAN_CHECK(blank != std::string_view::npos, IoError,
                  fmt::format("{}: '{}' is not two tokens with a blank between. Is the file damaged?",
                              node.where(), text));
    return {text.substr(0, blank), text.substr(blank + 1)};
  }
  const simdjson::dom::array pair = node.array();
  CARAVAN_CHECK(
      pair.size() == 2, IoError,
      fmt::format("{}: {} tokens (a merge joins two). Is the file damaged?", node.where(), pair.size()));
  return {JsonNode(pair.at(0).value_unsafe(), node.where()).text(),
          JsonNode(pair.at(1).value_unsafe(), node.where()).text()};
}

std::int32_t id_of(const Vocabulary& ids, std::string_view token, const JsonNode& node) {
  const auto found = ids.find(token);
  CARAVAN_CHECK(
      found != ids.end(), IoError,
      fmt::format("{}: '{}' is not in the vocabulary (merges join and make tokens). Is the file damaged?",
                  node.where(), token));
  return found->second;
}

void read_merges(const JsonNode& model, const Vocabulary& ids, BpeModel::Parts& parts) {
  const auto section = model.find("merges");
  if (!section) return;
  CARAVAN_CHECK(section->array().size() <= kMostMerges, IoError,
                fmt::format("{}: more than {} merges. Is it the right file?", section->where(), kMostMerges));
  std::int32_t rank = 0;
  std::string joined;
  for (simdjson::dom::element value : section->array()) {
    const JsonNode node(value, fmt::format("{}[{}]", section->where(), rank));
    const auto [left, right] = read_merge(node);
    joined.assign(left).append(right);
    const std::uint64_t key = BpeModel::pair_key(id_of(ids, left, node), id_of(ids, right, node));
    // A merge that stands twice keeps its first rank in Hugging Face's order of insertion: the later one
    // replaces it.
    parts.merges.insert_or_assign(key, BpeModel::Merge{rank++, id_of(ids, joined, node)});
  }
}

void place_tokens(BpeModel::Unit unit, BpeTokenizer::Parts& parts) {
  for (const std::string& name : parts.names) {
    const auto bytes = unit == BpeModel::Unit::byte ? unspell_bytes(name) : std::optional(name);
    // ByteLevel's decoder emits a token outside the byte alphabet as it stands; no piece can ever become that
    // token.
    parts.decoded.push_back(bytes.value_or(name));
    parts.model.tokens.push_back(bytes.value_or(""));
  }
}

}  // namespace

void read_bpe_model(const JsonNode& model, BpeModel::Unit unit, BpeTokenizer::Parts& parts) {
  check_supported(model);
  const Vocabulary ids = read_vocabulary(model, parts.names);
  read_merges(model, ids, parts.model);
  place_tokens(unit, parts);
  parts.model.ranking = BpeModel::Ranking::merge;
  parts.model.whole_piece =
      model.flag("ignore_merges", false) ? BpeModel::WholePiece::token : BpeModel::WholePiece::merged;
  parts.model.unit = unit;
  parts.model.fuse_unknown = model.flag("fuse_unk", false);
  parts.model.byte_fallback = model.flag("byte_fallback", false);
  if (const auto unknown = model.find("unk_token"))
    parts.model.unknown = id_of(ids, unknown->text(), *unknown);
}

}  // namespace caravan::io
