#include "io/hdf5/space.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include <array>

namespace caravan::io::h5 {

std::vector<hsize_t> extents_of(const Shape& shape) {
  std::vector<hsize_t> extents;
  for (int axis = 0; axis < shape.rank(); ++axis) extents.push_back(static_cast<hsize_t>(shape[axis]));
  return extents;
}

Handle space_of(const Shape& shape) {
  const auto extents = extents_of(shape);
  const hid_t id =
      shape.rank() == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(shape.rank(), extents.data(), nullptr);
  return Handle(checked(id, "make", "a data space"), H5Sclose);
}

Shape shape_of(hid_t space, const std::string& name) {
  const int rank = H5Sget_simple_extent_ndims(space);
  CARAVAN_CHECK(
      rank >= 0 && rank <= Shape::kMaxRank, IoError,
      fmt::format("dataset {} has {} axes (at most {} are supported)", name, rank, Shape::kMaxRank));
  std::array<hsize_t, Shape::kMaxRank> extents{};
  H5Sget_simple_extent_dims(space, extents.data(), nullptr);
  Shape shape;
  for (int axis = 0; axis < rank; ++axis) {
    CARAVAN_CHECK(extents[static_cast<std::size_t>(axis)] <= INT64_MAX, IoError,
                  fmt::format("dataset {} has an extent above 2^63", name));
    shape.append(static_cast<std::int64_t>(extents[static_cast<std::size_t>(axis)]));
  }
  return shape;
}

Handle link_list() {
  Handle link(checked(H5Pcreate(H5P_LINK_CREATE), "make", "a link creation list"), H5Pclose);
  check(H5Pset_create_intermediate_group(link, 1), "set", "group creation");
  return link;
}

void select_block(hid_t space, const BlockPlace& place) {
  const auto& [origin, extents, whole, name] = place;
  CARAVAN_CHECK(
      extents.rank() == whole.rank(), IoError,
      fmt::format("dataset {} has shape {} ({} was asked for)", name, to_string(whole), to_string(extents)));
  if (whole.rank() == 0) return;
  std::vector<hsize_t> from;
  for (int axis = 0; axis < whole.rank(); ++axis) {
    const std::int64_t begin = origin[static_cast<std::size_t>(axis)];
    CARAVAN_CHECK(begin >= 0 && extents[axis] <= whole[axis] && begin <= whole[axis] - extents[axis], IoError,
                  fmt::format("dataset {} has shape {} (axis {} cannot give {} elements from {})", name,
                              to_string(whole), axis, extents[axis], begin));
    from.push_back(static_cast<hsize_t>(begin));
  }
  check(H5Sselect_hyperslab(space, H5S_SELECT_SET, from.data(), nullptr, extents_of(extents).data(), nullptr),
        "select a block of", name);
}

}  // namespace caravan::io::h5
