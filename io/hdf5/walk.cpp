#include "io/hdf5/walk.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include <cstring>
#include <iterator>
#include <utility>

#include "io/hdf5/foreign_attribute.hpp"
#include "io/hdf5/foreign_dataset.hpp"

namespace caravan::io::h5 {
namespace {

constexpr std::size_t kMostLevels = 16;
constexpr std::size_t kMostNameBytes = 1024;
constexpr std::size_t kMostListedBytes = std::size_t{16} << 20;

/// Names of a group's links, as far as they may be visited.
struct Links {
  std::vector<std::string> names;
  std::size_t most;
  std::string refusal;
};

/// Called by HDF5, through which nothing may be thrown; 1 ends the iteration.
herr_t take_link(hid_t, const char* name, const H5L_info_t* info, void* to) noexcept {
  auto& links = *static_cast<Links*>(to);
  try {
    const std::size_t bytes = std::strlen(name);
    if (links.names.size() >= links.most)
      links.refusal = fmt::format("holds more than {} objects", Walk::kMostNodes);
    else if (bytes > kMostNameBytes)
      links.refusal = fmt::format("holds a name of {} bytes (at most {})", bytes, kMostNameBytes);
    else if (info->type != H5L_TYPE_HARD)
      links.refusal = fmt::format("{} is {} link (only objects of the file itself are allowed)", name,
                                  info->type == H5L_TYPE_SOFT ? "a soft" : "an external");
    if (!links.refusal.empty()) return 1;
    links.names.emplace_back(name);
    return 0;
  } catch (...) {
    return -1;
  }
}

H5O_info_t info_of(hid_t object, const std::string& path) {
  H5O_info_t info{};
  check(H5Oget_info2(object, &info, H5O_INFO_BASIC | H5O_INFO_NUM_ATTRS), "look at", path);
  return info;
}

std::size_t bytes_beside(const Node& node) {
  std::size_t bytes = node.path.size();
  for (const Attribute& attribute : node.attributes)
    bytes += attribute.value.is_string() ? attribute.value.get_ref<const std::string&>().size()
                                         : 16 * attribute.value.size();
  return bytes;
}

}  // namespace

Walk::Walk(const H5File& file) : file_(file) {
  const Guard guard;
  enter(Handle(checked(H5Gopen2(file.id(), "/", H5P_DEFAULT), "open group", "/"), H5Gclose), "");
}

void Walk::refuse_cycle(haddr_t address, const std::string& path) const {
  for (const Level& level : levels_) {
    CARAVAN_CHECK(level.address != address, IoError,
                  fmt::format("{} is the group {} in which it lies (a file without an end)", path,
                              level.path.empty() ? "/" : level.path));
  }
}

void Walk::enter(Handle group, const std::string& path) {
  CARAVAN_CHECK(levels_.size() <= kMostLevels, IoError,
                fmt::format("{} nests groups more than {} levels deep", file_.path(), kMostLevels));
  const haddr_t address = info_of(group, path).addr;
  refuse_cycle(address, path);
  Links links{{}, kMostNodes - num_links_, ""};
  checked(H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, nullptr, take_link, &links), "read the links of",
          path);
  CARAVAN_CHECK(links.refusal.empty(), IoError,
                links.refusal.starts_with("holds") ? fmt::format("{} {}", file_.path(), links.refusal)
                                                   : fmt::format("{}/{}", path, links.refusal));
  num_links_ += links.names.size();
  levels_.push_back({std::move(group), path, address, std::move(links.names)});
}

Node Walk::visit(const std::string& name) {
  const Level& level = levels_.back();
  const std::string path = level.path + "/" + name;
  Handle object(checked(H5Oopen(level.group, name.c_str(), H5P_DEFAULT), "open", path), H5Oclose);
  const H5I_type_t kind = H5Iget_type(object);
  CARAVAN_CHECK(kind == H5I_GROUP || kind == H5I_DATASET, IoError,
                fmt::format("{} is neither a group nor a dataset", path));
  Node node;
  node.path = path;
  if (kind == H5I_DATASET) node = describe_dataset(object, path);
  if (info_of(object, path).num_attrs > 0) node.attributes = attributes_of(object, path);
  if (kind == H5I_GROUP) enter(std::move(object), path);
  return node;
}

std::vector<Node> Walk::next(std::size_t most) {
  const Guard guard;
  std::vector<Node> nodes;
  std::size_t bytes = 0;
  if (!std::exchange(has_begun_, true)) {
    Node root;
    root.path = "/";
    root.attributes = attributes_of(levels_.front().group, "/");
    if (!root.attributes.empty()) nodes.push_back(std::move(root));
  }
  while (!levels_.empty() && nodes.size() < most && bytes < kMostListedBytes) {
    Level& level = levels_.back();
    if (level.visited == level.names.size()) {
      levels_.pop_back();
      continue;
    }
    nodes.push_back(visit(level.names[level.visited++]));
    bytes += bytes_beside(nodes.back());
  }
  return nodes;
}

std::vector<Node> walk(const H5File& file) {
  constexpr std::size_t kAtOnce = 1000;
  std::vector<Node> all;
  Walk walk(file);
  for (;;) {
    std::vector<Node> some = walk.next(kAtOnce);
    if (some.empty()) return all;
    all.insert(all.end(), std::make_move_iterator(some.begin()), std::make_move_iterator(some.end()));
  }
}

}  // namespace caravan::io::h5
