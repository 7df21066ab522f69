#pragma once

#include <string>
#include <vector>

#include "caravan/box.hpp"
#include "caravan/tensor.hpp"
#include "io/hdf5/library.hpp"

namespace caravan::io::h5 {

std::vector<hsize_t> extents_of(const Shape& shape);
/// A data space of that shape; a scalar one without axes.
Handle space_of(const Shape& shape);
/// The shape of a dataset's space; IoError for more axes than a Shape has.
Shape shape_of(hid_t space, const std::string& name);
/// For H5Dcreate2: makes the groups on the way.
Handle link_list();

/// A block of a dataset.
struct BlockPlace {
  const Origin& origin;
  const Shape& extents;
  const Shape& whole;  ///< of the dataset
  const std::string& name;
};
/// Selects the block in the dataset's space; IoError when it does not lie inside.
void select_block(hid_t space, const BlockPlace& place);

}  // namespace caravan::io::h5
