#include "io/hdf5/dataset.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include "io/hdf5/element_type.hpp"
#include "io/hdf5/space.hpp"

namespace caravan::io::h5 {
namespace {

Handle creation_list() {
  Handle list(checked(H5Pcreate(H5P_DATASET_CREATE), "make", "a dataset creation list"), H5Pclose);
  check(H5Pset_layout(list, H5D_CONTIGUOUS), "set", "the layout");
  check(H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY), "set", "the allocation time");
  check(H5Pset_fill_time(list, H5D_FILL_TIME_NEVER), "set", "the fill time");
  check(H5Pset_obj_track_times(list, false), "switch off", "time stamps");
  return list;
}

}  // namespace

Dataset Dataset::create(const H5File& file, const std::string& name, DType dtype, const Shape& shape) {
  const Guard guard;
  const hid_t id = H5Dcreate2(file.id(), name.c_str(), element_type(dtype), space_of(shape), link_list(),
                              creation_list(), H5P_DEFAULT);
  return Dataset(name, Handle(checked(id, "create dataset", name), H5Dclose), dtype, shape);
}

Dataset Dataset::open(const H5File& file, const std::string& name) {
  const Guard guard;
  Handle handle(checked(H5Dopen2(file.id(), name.c_str(), H5P_DEFAULT), "open dataset", name), H5Dclose);
  const Handle type(checked(H5Dget_type(handle), "read the type of", name), H5Tclose);
  const Handle space(checked(H5Dget_space(handle), "read the shape of", name), H5Sclose);
  const auto dtype = dtype_of_element(type);
  CARAVAN_CHECK(dtype, IoError, fmt::format("dataset {} has an element type that is not supported", name));
  const Shape shape = shape_of(space, name);
  return Dataset(name, std::move(handle), *dtype, shape);
}

std::uint64_t Dataset::file_offset() const {
  if (shape_.count() == 0) return 0;
  const Guard guard;
  const haddr_t offset = H5Dget_offset(handle_);
  CARAVAN_CHECK(offset != HADDR_UNDEF, IoError, fmt::format("dataset {} has no place in the file", name_));
  return offset;
}

Handle Dataset::block(const Origin& origin, const TensorView& view) const {
  CARAVAN_CHECK(view.dtype == dtype_ && view.contiguous(), IoError,
                fmt::format("dataset {} is stored as {} ({} was asked for{})", name_, name_of(dtype_),
                            name_of(view.dtype), view.contiguous() ? "" : ", with strides"));
  Handle space(checked(H5Dget_space(handle_), "read the shape of", name_), H5Sclose);
  select_block(space, {origin, view.shape, shape_, name_});
  return space;
}

void Dataset::write(const Origin& origin, const TensorView& view) {
  const Guard guard;
  const Handle file_space = block(origin, view);
  if (view.count() == 0) return;
  check(H5Dwrite(handle_, element_type(dtype_), space_of(view.shape), file_space, H5P_DEFAULT, view.data),
        "write dataset", name_);
}

void Dataset::read(const Origin& origin, const TensorView& view) const {
  const Guard guard;
  const Handle file_space = block(origin, view);
  if (view.count() == 0) return;
  check(H5Dread(handle_, element_type(dtype_), space_of(view.shape), file_space, H5P_DEFAULT, view.data),
        "read dataset", name_);
}

}  // namespace caravan::io::h5
