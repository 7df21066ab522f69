#include "io/hdf5/foreign_dataset.hpp"

#include "caravan/check.hpp"
#include "caravan/tensor.hpp"

#include <fmt/format.h>

#include <array>

#include "io/hdf5/foreign_type.hpp"

namespace caravan::io::h5 {
namespace {

/// Deflate packs 1000 zeros into a byte. What claims more, and is large, was never written, and a program
/// that reads it makes fill values for ever.
constexpr std::uint64_t kMostBytesAStored = 4096, kLarge = std::uint64_t{1} << 30;

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
    CARAVAN_CHECK(!__builtin_mul_overflow(node.bytes, extent, &node.bytes) && extent <= INT64_MAX, IoError,
                  fmt::format("dataset {} has a size that overflows 64 bits", node.path));
  }
}

/// Empty when the elements can be read.
std::string why_unreadable(hid_t dataset, hid_t space, const Node& node) {
  if (H5Sget_simple_extent_type(space) == H5S_NULL) return "null dataspace (it holds no elements)";
  if (!node.element) return "no numbers of up to 64 bits";
  if (node.extents.size() > Shape::kMaxRank)
    return fmt::format("{} axes (at most {} are read)", node.extents.size(), Shape::kMaxRank);
  if (node.bytes > INT64_MAX) return "more than 2^63 bytes";
  if (node.bytes <= kLarge) return "";
  const std::uint64_t stored = H5Dget_storage_size(dataset);
  if (node.bytes / kMostBytesAStored <= stored) return "";
  return fmt::format("only {} of {} bytes are stored", stored, node.bytes);
}

}  // namespace

Node describe_dataset(hid_t dataset, const std::string& path) {
  check_storage(dataset, path);
  Node node;
  node.path = path;
  node.kind = Node::Kind::dataset;
  const Handle type(checked(H5Dget_type(dataset), "read the type of", path), H5Tclose);
  const Handle space(checked(H5Dget_space(dataset), "read the shape of", path), H5Sclose);
  node.type = type_text(type);
  node.element = readable_as(type);
  read_extents(space, node, H5Tget_size(type));
  node.unreadable = why_unreadable(dataset, space, node);
  if (!node.unreadable.empty()) node.element.reset();
  return node;
}

}  // namespace caravan::io::h5
