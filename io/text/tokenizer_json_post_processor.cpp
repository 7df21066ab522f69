#include "io/text/tokenizer_json_post_processor.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "io/text/readers.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kMostParts = 64;

std::int32_t checked_id(const JsonNode& node) {
  const std::int64_t id = node.integer();
  CARAVAN_CHECK(id >= 0 && id < kMostTokenIds, IoError,
                fmt::format("{}: id {} (ids go from 0 to {}). Is the file damaged?", node.where(), id,
                            kMostTokenIds - 1));
  return static_cast<std::int32_t>(id);
}

/// Puts tokens around what earlier processors made.
void wrap(const TextFrame& outer, TextFrame& frame) {
  frame.before.insert(frame.before.begin(), outer.before.begin(), outer.before.end());
  frame.after.insert(frame.after.end(), outer.after.begin(), outer.after.end());
  CARAVAN_CHECK(frame.before.size() + frame.after.size() <= kMostParts, IoError,
                fmt::format("a post-processor with more than {} tokens. Is the file damaged?", kMostParts));
}

/// One place of a template is a token, or the text.
void read_template(const JsonNode& node, TextFrame& frame) {
  TextFrame outer;
  int texts = 0;
  const JsonNode single = node.at("single");
  for (simdjson::dom::element element : single.array()) {
    const JsonNode part(element, single.where());
    const auto token = part.find("SpecialToken");
    if (!token) {
      CARAVAN_CHECK(part.at("Sequence").at("id").text() == "A", IoError,
                    fmt::format("{}: a text other than A (a single text has no other). Is the file damaged?",
                                single.where()));
      ++texts;
      continue;
    }
    const JsonNode ids = node.at("special_tokens").at(token->at("id").text()).at("ids");
    for (simdjson::dom::element id : ids.array())
      (texts == 0 ? outer.before : outer.after).push_back(checked_id(JsonNode(id, ids.where())));
  }
  CARAVAN_CHECK(texts == 1, IoError,
                fmt::format("{}: the text stands {} times (once is needed). Another tokenizer?",
                            single.where(), texts));
  wrap(outer, frame);
}

/// [name, id] under `key`.
std::int32_t second_of(const JsonNode& node, std::string_view key) {
  const JsonNode pair = node.at(key);
  CARAVAN_CHECK(pair.array().size() == 2, IoError,
                fmt::format("{}: not a name and an id. Is the file damaged?", pair.where()));
  return checked_id(JsonNode(pair.array().at(1).value_unsafe(), pair.where()));
}

void read_processor(const JsonNode& node, TextFrame& frame) {
  const std::string_view type = node.at("type").text();
  if (type == "ByteLevel") return;
  if (type == "TemplateProcessing") return read_template(node, frame);
  if (type == "RobertaProcessing" || type == "BertProcessing")
    return wrap({{second_of(node, "cls")}, {second_of(node, "sep")}}, frame);
  CARAVAN_CHECK(type == "Sequence", IoError,
                fmt::format("{}: type '{}' (this reader knows Sequence, TemplateProcessing, ByteLevel, "
                            "RobertaProcessing and BertProcessing). Another tokenizer?",
                            node.where(), type));
  const JsonNode list = node.at("processors");
  for (simdjson::dom::element step : list.array()) read_processor(JsonNode(step, list.where()), frame);
}

}  // namespace

TextFrame read_post_processor(const JsonNode& root) {
  TextFrame frame;
  if (const auto section = root.find("post_processor")) read_processor(*section, frame);
  return frame;
}

}  // namespace caravan::io
