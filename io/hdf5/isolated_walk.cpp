#include "io/hdf5/isolated_walk.hpp"

#include <fcntl.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "io/files/file.hpp"
#include "io/files/isolated.hpp"
#include "io/hdf5/walk.hpp"

namespace caravan::io::h5 {
namespace {

using nlohmann::json;

std::string to_text(const std::vector<Node>& nodes) {
  json list = json::array();
  for (const Node& node : nodes) {
    list.push_back({{"path", node.path},
                    {"group", node.kind == Node::Kind::group},
                    {"type", node.type},
                    {"extents", node.extents},
                    {"bytes", node.bytes}});
  }
  return list.dump(-1, ' ', true, json::error_handler_t::replace);
}

std::vector<Node> nodes_from(const json& list) {
  std::vector<Node> nodes;
  for (const json& object : list) {
    Node node;
    node.path = object.at("path").get<std::string>();
    node.kind = object.at("group").get<bool>() ? Node::Kind::group : Node::Kind::dataset;
    node.type = object.at("type").get<std::string>();
    node.extents = object.at("extents").get<std::vector<std::uint64_t>>();
    node.bytes = object.at("bytes").get<std::uint64_t>();
    nodes.push_back(std::move(node));
  }
  return nodes;
}

}  // namespace

std::vector<Node> isolated_walk(const std::string& path) {
  File(path, O_RDONLY).size();  // a pipe or a device would block the child
  return nodes_from(
      json::parse(run_isolated(path, [&] { return to_text(walk(H5File::open_to_read(path))); })));
}

}  // namespace caravan::io::h5
