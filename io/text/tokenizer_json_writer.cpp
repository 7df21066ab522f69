#include "io/text/tokenizer_json_writer.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "io/text/byte_alphabet.hpp"

namespace caravan::io {
namespace {

using nlohmann::ordered_json;

constexpr const char *kBos = "<|begin_of_text|>", *kEos = "<|end_of_text|>";

ordered_json added_token(std::size_t id, std::string_view name) {
  return {{"id", id},        {"content", name},     {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

ordered_json byte_level() {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
}

ordered_json pre_tokenizer() {
  const ordered_json split = {
      {"type", "Split"}, {"pattern", {{"Regex", kLlama4Split}}}, {"behavior", "Isolated"}, {"invert", false}};
  return {{"type", "Sequence"}, {"pretokenizers", ordered_json::array({split, byte_level()})}};
}

/// A prompt begins with BOS.
ordered_json post_processor(std::size_t bos) {
  const ordered_json token = {{"SpecialToken", {{"id", kBos}, {"type_id", 0}}}};
  const auto text = [](const char* id) { return ordered_json{{"Sequence", {{"id", id}, {"type_id", 0}}}}; };
  const ordered_json special = {
      {"id", kBos}, {"ids", ordered_json::array({bos})}, {"tokens", ordered_json::array({kBos})}};
  return {{"type", "TemplateProcessing"},
          {"single", ordered_json::array({token, text("A")})},
          {"pair", ordered_json::array({token, text("A"), token, text("B")})},
          {"special_tokens", {{kBos, special}}}};
}

std::string json_text(std::string_view text) {
  return ordered_json(text).dump();
}

/// Vocabulary and merges are written by hand: nlohmann's ordered map looks every new key up in all former
/// ones.
std::string model(const LearnedBpe& learned) {
  std::string out =
      R"({"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,)"
      R"("fuse_unk":false,"byte_fallback":false,"ignore_merges":false,"vocab":{)";
  for (std::size_t id = 0; id < learned.tokens.size(); ++id)
    out += fmt::format("{}{}:{}", id == 0 ? "\n" : ",\n", json_text(spell_bytes(learned.tokens[id])), id);
  out += "},\"merges\":[";
  const auto spelled = [&](std::int32_t id) {
    return json_text(spell_bytes(learned.tokens[static_cast<std::size_t>(id)]));
  };
  for (std::size_t i = 0; i < learned.merges.size(); ++i)
    out += fmt::format("{}[{},{}]", i == 0 ? "\n" : ",\n", spelled(learned.merges[i].first),
                       spelled(learned.merges[i].second));
  return out + "]}";
}

}  // namespace

std::string write_tokenizer_json(const LearnedBpe& learned) {
  const std::size_t first = learned.tokens.size();
  const ordered_json added = ordered_json::array({added_token(first, kBos), added_token(first + 1, kEos)});
  return fmt::format(
      "{{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\n\"added_tokens\":{},\n\"normalizer\":"
      "null,\n"
      "\"pre_tokenizer\":{},\n\"post_processor\":{},\n\"decoder\":{},\n\"model\":{}}}\n",
      added.dump(), pre_tokenizer().dump(), post_processor(first).dump(), byte_level().dump(),
      model(learned));
}

}  // namespace caravan::io
