#include "io/hdf5/node_json.hpp"

#include "caravan/check.hpp"

#include <nlohmann/json.hpp>

#include "io/files/strict_json.hpp"

namespace caravan::io::h5 {
namespace {

using nlohmann::json;

json to_json(const Attribute& attribute) {
  return {{"name", attribute.name},
          {"type", attribute.type},
          {"extents", attribute.extents},
          {"value", attribute.value},
          {"why", attribute.why}};
}

json to_json(const Node& node) {
  json attributes = json::array();
  for (const Attribute& attribute : node.attributes) attributes.push_back(to_json(attribute));
  return {{"path", node.path},
          {"group", node.kind == Node::Kind::group},
          {"type", node.type},
          {"element", node.element ? static_cast<int>(*node.element) : -1},
          {"extents", node.extents},
          {"bytes", node.bytes},
          {"unreadable", node.unreadable},
          {"attributes", attributes}};
}

std::vector<std::uint64_t> extents_from(const json& list) {
  std::vector<std::uint64_t> extents;
  for (const json& extent : list) extents.push_back(uint64_of(extent));
  return extents;
}

Attribute attribute_from(const json& object) {
  return {object.at("name").get<std::string>(), object.at("type").get<std::string>(),
          extents_from(object.at("extents")), object.at("value"), object.at("why").get<std::string>()};
}

/// What the parent reckons with when it reads the elements.
void check_readable(const Node& node) {
  std::uint64_t bytes = size_of(*node.element);
  bool fits = node.extents.size() <= Shape::kMaxRank && node.kind == Node::Kind::dataset;
  for (const std::uint64_t extent : node.extents)
    fits =
        fits && extent <= INT64_MAX && !__builtin_mul_overflow(bytes, extent, &bytes) && bytes <= INT64_MAX;
  CARAVAN_CHECK(fits, IoError, "file rejected: a dataset has a shape that cannot be");
}

Node node_from(const json& object) {
  Node node;
  node.path = object.at("path").get<std::string>();
  node.kind = object.at("group").get<bool>() ? Node::Kind::group : Node::Kind::dataset;
  node.type = object.at("type").get<std::string>();
  const std::int64_t element = int64_of(object.at("element"));
  if (element >= 0 && element < kNumNumberTypes) node.element = static_cast<NumberType>(element);
  node.extents = extents_from(object.at("extents"));
  node.bytes = uint64_of(object.at("bytes"));
  node.unreadable = object.at("unreadable").get<std::string>();
  for (const json& attribute : object.at("attributes")) node.attributes.push_back(attribute_from(attribute));
  if (node.element) check_readable(node);
  return node;
}

}  // namespace

json to_json(const std::vector<Node>& nodes) {
  json list = json::array();
  for (const Node& node : nodes) list.push_back(to_json(node));
  return list;
}

std::vector<Node> nodes_from(const json& list) {
  std::vector<Node> nodes;
  for (const json& object : list) nodes.push_back(node_from(object));
  return nodes;
}

}  // namespace caravan::io::h5
