#include "io/hdf5/isolated_file.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include <cstring>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "io/files/file.hpp"
#include "io/files/strict_json.hpp"
#include "io/hdf5/foreign_block.hpp"
#include "io/hdf5/node_json.hpp"
#include "io/hdf5/walk.hpp"

namespace caravan::io::h5 {
namespace {

using nlohmann::json;

constexpr std::string_view kNextNodes = "next";
constexpr std::size_t kNodesAtOnce = 1000;
constexpr std::uint64_t kSecondsToAnswer = 2, kSlowestBytesASecond = 20'000'000;
constexpr std::uint64_t kMostBytesAtOnce = std::uint64_t{256} << 20,
                        kMostBytesOfNodes = std::uint64_t{2} << 30;

/// What the child does: it opens the file when the sandbox holds, at the first question.
class Reader {
 public:
  Reader(std::string path, std::span<const std::byte> image) : path_(std::move(path)), image_(image) {}

  std::string operator()(std::string_view question) {
    if (!opened_) opened_.emplace(path_, image_);
    if (question == kNextNodes)
      return to_json(opened_->walk.next(kNodesAtOnce)).dump(-1, ' ', true, json::error_handler_t::replace);
    return block(json::parse(question));
  }

 private:
  struct Opened {
    Opened(const std::string& path, std::span<const std::byte> image)
        : file(H5File::open_image(path, image)), walk(file), blocks(file) {}
    H5File file;
    Walk walk;
    ForeignBlocks blocks;
  };

  std::string block(const json& question) {
    Shape extents;
    for (const json& extent : question.at("shape")) extents.append(int64_of(extent));
    return opened_->blocks.read(question.at("name").get<std::string>(), question.at("origin").get<Origin>(),
                                extents);
  }

  std::string path_;
  std::span<const std::byte> image_;
  std::optional<Opened> opened_;
};

IsolatedChild start_child(const std::string& path) {
  const MappedFile mapped(path);  // the child keeps its own mapping
  start();                        // the library reads its environment before the sandbox
  IsolationLimits limits;
  limits.memory_bytes += mapped.bytes().size();
  limits.cpu_s = kSecondsToAnswer + mapped.bytes().size() / kSlowestBytesASecond;
  const auto reader = std::make_shared<Reader>(path, mapped.bytes());
  return IsolatedChild(
      path, [reader](std::string_view question) { return (*reader)(question); }, limits);
}

std::vector<Node> parse_nodes(const std::string& text, const std::string& path) {
  try {
    return nodes_from(parse_json_strict(text, path));
  } catch (const json::exception& problem) {
    throw IoError(fmt::format("file rejected: the reader of {} gave no list ({})", path, problem.what()));
  }
}

}  // namespace

IsolatedFile::IsolatedFile(const std::string& path) : child_(start_child(path)) {
  list(path);
}

void IsolatedFile::list(const std::string& path) {
  for (std::uint64_t bytes = 0;;) {
    const std::string text = child_.ask(kNextNodes, kMostBytesAtOnce);
    std::vector<Node> some = parse_nodes(text, path);
    if (some.empty()) return;
    bytes += text.size();
    CARAVAN_CHECK(bytes <= kMostBytesOfNodes && nodes_.size() + some.size() <= Walk::kMostNodes + 1, IoError,
                  fmt::format("file rejected: the list of objects of {} has more than {} entries or {} bytes",
                              path, Walk::kMostNodes, kMostBytesOfNodes));
    nodes_.insert(nodes_.end(), std::make_move_iterator(some.begin()), std::make_move_iterator(some.end()));
  }
}

void IsolatedFile::read(const Node& node, const Origin& origin, const Shape& extents,
                        std::span<std::byte> to) const {
  json shape = json::array();
  for (int axis = 0; axis < extents.rank(); ++axis) shape.push_back(extents[axis]);
  const json question = {{"name", node.path}, {"origin", origin}, {"shape", shape}};
  const std::string block = child_.ask(question.dump(), to.size());
  CARAVAN_CHECK(block.size() == to.size(), IoError,
                fmt::format("file rejected: the reader gave {} bytes of {} instead of {}", block.size(),
                            node.path, to.size()));
  std::memcpy(to.data(), block.data(), block.size());
}

}  // namespace caravan::io::h5
