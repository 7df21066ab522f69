#include "io/hdf5/walk.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "io/hdf5/element_type.hpp"

namespace caravan::io::h5 {
namespace {

constexpr int kMostLevels = 16;
constexpr std::size_t kMostNodes = 1'000'000;
constexpr std::size_t kMostNameBytes = 1024;

std::string class_name(hid_t type) {
  static constexpr std::array<const char*, 11> kNames{"integer",  "float",  "time",     "string",
                                                      "bitfield", "opaque", "compound", "reference",
                                                      "enum",     "vlen",   "array"};
  const int kind = H5Tget_class(type);
  return kind >= 0 && kind < static_cast<int>(kNames.size()) ? kNames[static_cast<std::size_t>(kind)]
                                                             : "unknown";
}

void check_filters(hid_t creation, const std::string& path) {
  const int filters = H5Pget_nfilters(creation);
  for (int i = 0; i < filters; ++i) {
    unsigned flags = 0;
    std::size_t num_values = 0;
    const H5Z_filter_t filter =
        H5Pget_filter2(creation, static_cast<unsigned>(i), &flags, &num_values, nullptr, 0, nullptr, nullptr);
    CARAVAN_CHECK(filter > 0 && filter <= H5Z_FILTER_SCALEOFFSET, IoError,
                  fmt::format("dataset {} uses the filter {} (only HDF5's own filters are allowed)", path,
                              static_cast<int>(filter)));
  }
}

void check_storage(hid_t dataset, const std::string& path) {
  const Handle creation(checked(H5Dget_create_plist(dataset), "read the layout of", path), H5Pclose);
  const H5D_layout_t layout = H5Pget_layout(creation);
  CARAVAN_CHECK(layout != H5D_VIRTUAL, IoError,
                fmt::format("dataset {} is virtual (it reads other files)", path));
  CARAVAN_CHECK(H5Pget_external_count(creation) == 0, IoError,
                fmt::format("dataset {} lies in other files", path));
  check_filters(creation, path);
}

void read_extents(hid_t space, Node& node, std::size_t element_bytes) {
  const int rank = H5Sget_simple_extent_ndims(space);
  CARAVAN_CHECK(rank >= 0 && rank <= H5S_MAX_RANK, IoError,
                fmt::format("dataset {} has no plain shape", node.path));
  std::array<hsize_t, H5S_MAX_RANK> extents{};
  H5Sget_simple_extent_dims(space, extents.data(), nullptr);
  node.bytes = H5Sget_simple_extent_type(space) == H5S_NULL ? 0 : element_bytes;
  for (int axis = 0; axis < rank; ++axis) {
    const std::uint64_t extent = extents[static_cast<std::size_t>(axis)];
    node.extents.push_back(extent);
    CARAVAN_CHECK(!__builtin_mul_overflow(node.bytes, extent, &node.bytes), IoError,
                  fmt::format("dataset {} has a size that overflows 64 bits", node.path));
  }
}

Node describe_dataset(hid_t dataset, const std::string& path) {
  check_storage(dataset, path);
  Node node;
  node.path = path;
  node.kind = Node::Kind::dataset;
  const Handle type(checked(H5Dget_type(dataset), "read the type of", path), H5Tclose);
  const Handle space(checked(H5Dget_space(dataset), "read the shape of", path), H5Sclose);
  const auto dtype = dtype_of_element(type);
  node.type = dtype ? std::string(name_of(*dtype)) : class_name(type);
  read_extents(space, node, H5Tget_size(type));
  if (node.extents.size() <= Shape::kMaxRank && node.bytes <= INT64_MAX) node.dtype = dtype;
  return node;
}

class Walk {
 public:
  explicit Walk(const H5File& file) : file_(file) {}

  void enter(const std::string& path, int level) {
    CARAVAN_CHECK(level <= kMostLevels, IoError,
                  fmt::format("{} nests groups more than {} levels deep", file_.path(), kMostLevels));
    const Handle group(
        checked(H5Gopen2(file_.id(), path.empty() ? "/" : path.c_str(), H5P_DEFAULT), "open group", path),
        H5Gclose);
    H5G_info_t info{};
    check(H5Gget_info(group, &info), "read group", path);
    for (hsize_t i = 0; i < info.nlinks; ++i) visit(path + "/" + link_name(group, i, path), level);
  }

  std::vector<Node> take() { return std::move(nodes_); }

 private:
  std::string link_name(hid_t group, hsize_t i, const std::string& path) const {
    std::array<char, kMostNameBytes + 1> name{};
    const auto bytes =
        H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name.data(), name.size(), H5P_DEFAULT);
    checked(bytes, "read the links of", path);
    CARAVAN_CHECK(
        static_cast<std::size_t>(bytes) <= kMostNameBytes, IoError,
        fmt::format("{} holds a name of {} bytes (at most {})", file_.path(), bytes, kMostNameBytes));
    return name.data();
  }

  void visit(const std::string& path, int level) {
    CARAVAN_CHECK(nodes_.size() < kMostNodes, IoError,
                  fmt::format("{} holds more than {} objects", file_.path(), kMostNodes));
    H5L_info_t link{};
    check(H5Lget_info(file_.id(), path.c_str(), &link, H5P_DEFAULT), "read link", path);
    CARAVAN_CHECK(link.type == H5L_TYPE_HARD, IoError,
                  fmt::format("{} is {} link (only objects of the file itself are allowed)", path,
                              link.type == H5L_TYPE_SOFT ? "a soft" : "an external"));
    const Handle object(checked(H5Oopen(file_.id(), path.c_str(), H5P_DEFAULT), "open", path), H5Oclose);
    const H5I_type_t kind = H5Iget_type(object);
    CARAVAN_CHECK(kind == H5I_GROUP || kind == H5I_DATASET, IoError,
                  fmt::format("{} is neither a group nor a dataset", path));
    if (kind == H5I_DATASET) return nodes_.push_back(describe_dataset(object, path));
    Node group;
    group.path = path;
    nodes_.push_back(group);
    enter(path, level + 1);
  }

  const H5File& file_;
  std::vector<Node> nodes_;
};

}  // namespace

std::vector<Node> walk(const H5File& file) {
  const Guard guard;
  Walk walk(file);
  walk.enter("", 0);
  return walk.take();
}

}  // namespace caravan::io::h5
