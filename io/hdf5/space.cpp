#include "io/hdf5/space.hpp"

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

Handle link_list() {
  Handle link(checked(H5Pcreate(H5P_LINK_CREATE), "make", "a link creation list"), H5Pclose);
  check(H5Pset_create_intermediate_group(link, 1), "set", "group creation");
  return link;
}

}  // namespace caravan::io::h5
