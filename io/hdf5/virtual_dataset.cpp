#include "io/hdf5/virtual_dataset.hpp"

#include "io/hdf5/element_type.hpp"
#include "io/hdf5/space.hpp"

namespace caravan::io::h5 {
namespace {

Shape rows_of(const Shape& shape, std::int64_t rows) {
  Shape some = shape;
  if (some.rank() > 0) some.set(0, rows);
  return some;
}

Handle rows_selected(const Shape& shape, const SourceRows& source) {
  Handle space = space_of(shape);
  if (shape.rank() == 0) return space;
  std::vector<hsize_t> first(static_cast<std::size_t>(shape.rank()), 0);
  first[0] = static_cast<hsize_t>(source.row);
  const auto count = extents_of(rows_of(shape, source.rows));
  check(H5Sselect_hyperslab(space, H5S_SELECT_SET, first.data(), nullptr, count.data(), nullptr), "select",
        "rows");
  return space;
}

}  // namespace

void create_virtual_dataset(const H5File& file, const std::string& name, DType dtype, const Shape& shape,
                            const std::vector<SourceRows>& sources) {
  const Guard guard;
  const Handle list(checked(H5Pcreate(H5P_DATASET_CREATE), "make", "a dataset creation list"), H5Pclose);
  check(H5Pset_obj_track_times(list, false), "switch off", "time stamps");
  for (const SourceRows& source : sources) {
    check(H5Pset_virtual(list, rows_selected(shape, source), source.file.c_str(), name.c_str(),
                         space_of(rows_of(shape, source.rows))),
          "map", name);
  }
  const Handle made(checked(H5Dcreate2(file.id(), name.c_str(), element_type(dtype), space_of(shape),
                                       link_list(), list, H5P_DEFAULT),
                            "create dataset", name),
                    H5Dclose);
}

}  // namespace caravan::io::h5
