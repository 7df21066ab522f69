#pragma once

#include <vector>

#include "caravan/tensor.hpp"
#include "io/hdf5/library.hpp"

namespace caravan::io::h5 {

std::vector<hsize_t> extents_of(const Shape& shape);
/// A data space of that shape; a scalar one without axes.
Handle space_of(const Shape& shape);
/// For H5Dcreate2: makes the groups on the way.
Handle link_list();

}  // namespace caravan::io::h5
