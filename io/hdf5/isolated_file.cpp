#include "io/hdf5/isolated_file.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <utility>

#include "io/files/file.hpp"
#include "io/files/strict_json.hpp"
#include "io/hdf5/dataset.hpp"
#include "io/hdf5/walk.hpp"

namespace caravan::io::h5 {
namespace {

using nlohmann::json;

constexpr std::string_view kList = "list";
constexpr std::uint64_t kSecondsToOpen = 2, kSlowestBytesASecond = 20'000'000;

json to_json(const Node& node) {
  return {{"path", node.path},       {"group", node.kind == Node::Kind::group},
          {"type", node.type},       {"dtype", node.dtype ? static_cast<int>(*node.dtype) : -1},
          {"extents", node.extents}, {"bytes", node.bytes}};
}

std::string to_text(const std::vector<Node>& nodes) {
  json list = json::array();
  for (const Node& node : nodes) list.push_back(to_json(node));
  return list.dump(-1, ' ', true, json::error_handler_t::replace);
}

std::string block_of(const H5File& file, const json& question) {
  const Dataset dataset = Dataset::open(file, question.at("name").get<std::string>());
  Shape shape;
  for (const json& extent : question.at("shape")) shape.append(int64_of(extent));
  std::string block(static_cast<std::size_t>(shape.count()) * size_of(dataset.dtype()), '\0');
  dataset.read(question.at("origin").get<Origin>(), TensorView(block.data(), dataset.dtype(), shape));
  return block;
}

/// What the child does: it opens the file when the sandbox holds, at the first question.
class Reader {
 public:
  Reader(std::string path, std::span<const std::byte> image) : path_(std::move(path)), image_(image) {}

  std::string operator()(std::string_view question) {
    if (!file_) file_.emplace(H5File::open_image(path_, image_));
    if (question == kList) return to_text(walk(*file_));
    return block_of(*file_, json::parse(question));
  }

 private:
  std::string path_;
  std::span<const std::byte> image_;
  std::optional<H5File> file_;
};

IsolatedChild start_child(const std::string& path) {
  const MappedFile mapped(path);  // the child keeps its own mapping
  start();                        // the library reads its environment before the sandbox
  IsolationLimits limits;
  limits.memory_bytes += mapped.bytes().size();
  limits.cpu_s = kSecondsToOpen + mapped.bytes().size() / kSlowestBytesASecond;
  const auto reader = std::make_shared<Reader>(path, mapped.bytes());
  return IsolatedChild(
      path, [reader](std::string_view question) { return (*reader)(question); }, limits);
}

Node node_from(const json& object) {
  Node node;
  node.path = object.at("path").get<std::string>();
  node.kind = object.at("group").get<bool>() ? Node::Kind::group : Node::Kind::dataset;
  node.type = object.at("type").get<std::string>();
  if (const auto dtype = int64_of(object.at("dtype")); dtype >= 0 && dtype <= static_cast<int>(DType::u8))
    node.dtype = static_cast<DType>(dtype);
  for (const json& extent : object.at("extents")) node.extents.push_back(uint64_of(extent));
  node.bytes = uint64_of(object.at("bytes"));
  return node;
}

/// The child may be in the hands of the file, so what it says is outside input too.
std::vector<Node> nodes_from(const std::string& text, const std::string& path) {
  try {
    std::vector<Node> nodes;
    for (const json& object : parse_json_strict(text, path)) nodes.push_back(node_from(object));
    return nodes;
  } catch (const json::exception& problem) {
    throw IoError(fmt::format("file rejected: the reader of {} gave no list ({})", path, problem.what()));
  }
}

}  // namespace

IsolatedFile::IsolatedFile(const std::string& path)
    : child_(start_child(path)), nodes_(nodes_from(child_.ask(kList), path)) {}

void IsolatedFile::read(const std::string& name, const Origin& origin, const TensorView& to) const {
  json shape = json::array();
  for (int axis = 0; axis < to.shape.rank(); ++axis) shape.push_back(to.shape[axis]);
  const json question = {{"name", name}, {"origin", origin}, {"shape", shape}};
  const std::string block = child_.ask(question.dump(), to.bytes());
  CARAVAN_CHECK(block.size() == to.bytes(), IoError,
                fmt::format("file rejected: the reader gave {} bytes of {} instead of {}", block.size(), name,
                            to.bytes()));
  std::memcpy(to.data, block.data(), block.size());
}

}  // namespace caravan::io::h5
