#include "io/hdf5/virtual_dataset.hpp"

#include "io/hdf5/element_type.hpp"
#include "io/hdf5/space.hpp"

namespace caravan::io::h5 {
namespace {

Handle box_selected(const Shape& shape, const Box& box) {
  Handle space = space_of(shape);
  if (shape.rank() == 0) return space;
  std::vector<hsize_t> first;
  for (int axis = 0; axis < shape.rank(); ++axis) first.push_back(static_cast<hsize_t>(box.begin(axis)));
  const auto count = extents_of(box.extents);
  check(H5Sselect_hyperslab(space, H5S_SELECT_SET, first.data(), nullptr, count.data(), nullptr), "select",
        "a box");
  return space;
}

}  // namespace

void create_virtual_dataset(const H5File& file, const std::string& name, DType dtype, const Shape& shape,
                            const std::vector<SourceBox>& sources) {
  const Guard guard;
  const Handle list(checked(H5Pcreate(H5P_DATASET_CREATE), "make", "a dataset creation list"), H5Pclose);
  check(H5Pset_obj_track_times(list, false), "switch off", "time stamps");
  for (const SourceBox& source : sources) {
    check(H5Pset_virtual(list, box_selected(shape, source.box), source.file.c_str(), source.dataset.c_str(),
                         space_of(source.box.extents)),
          "map", name);
  }
  const Handle made(checked(H5Dcreate2(file.id(), name.c_str(), element_type(dtype), space_of(shape),
                                       link_list(), list, H5P_DEFAULT),
                            "create dataset", name),
                    H5Dclose);
}

}  // namespace caravan::io::h5
