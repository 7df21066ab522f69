#include "jobs/inspect/attributes.hpp"

#include <fmt/format.h>

#include <functional>

#include "jobs/inspect/box.hpp"

namespace caravan::jobs {
namespace {

using io::h5::Attribute;
using io::h5::Node;
using nlohmann::json;

constexpr std::size_t kMostShown = 8, kMostShownBytes = 120;

std::string text_of(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// The first values of a list.
std::string list_text(const json& values) {
  std::string text = "[";
  for (std::size_t i = 0; i < std::min(values.size(), kMostShown); ++i)
    text += (i > 0 ? ", " : "") + text_of(values[i]);
  return text + (values.size() > kMostShown ? fmt::format(", … {} in all]", values.size()) : "]");
}

/// Cut where a character begins.
std::string shortened(const std::string& text) {
  if (text.size() <= kMostShownBytes) return text;
  std::size_t end = kMostShownBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return fmt::format("{}… ({} bytes)", text.substr(0, end), text.size());
}

std::string shown_value(const Attribute& attribute) {
  if (attribute.value.is_null()) return fmt::format("({}) not read: {}", attribute.type, attribute.why);
  return shortened(attribute.value.is_array() ? list_text(attribute.value) : text_of(attribute.value));
}

/// Groups are branches of the tree and end in a slash there.
std::string place_in_tree(const Node& node) {
  if (node.path == "/") return "";
  return node.kind == Node::Kind::group ? node.path + "/" : node.path;
}

void for_each_attribute(const ForeignTensors& file, const NameFilter& filter,
                        const std::function<void(const Node&, const Attribute&)>& action) {
  for (const Node& node : file.objects()) {
    if (!filter.matches(node.path)) continue;
    for (const Attribute& attribute : node.attributes) action(node, attribute);
  }
}

}  // namespace

std::vector<TreeLeaf> attribute_leaves(const ForeignTensors& file, const NameFilter& filter) {
  std::vector<TreeLeaf> leaves;
  for_each_attribute(file, filter, [&](const Node& node, const Attribute& attribute) {
    leaves.push_back({place_in_tree(node), nullptr, shown_value(attribute), attribute.name});
  });
  return leaves;
}

nlohmann::ordered_json attributes_json(const ForeignTensors& file, const NameFilter& filter) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for_each_attribute(file, filter, [&](const Node& node, const Attribute& attribute) {
    list.push_back({{"object", node.path},
                    {"name", attribute.name},
                    {"type", attribute.type},
                    {"shape", attribute.extents},
                    {"value", attribute.value}});
    if (attribute.value.is_null()) list.back()["why"] = attribute.why;
  });
  return list;
}

}  // namespace caravan::jobs
