#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/box.hpp"
#include "io/hdf5/h5_file.hpp"

namespace caravan::io::h5 {

/// A box of a tensor that lies, as the dataset `dataset`, in `file` beside the file that shows it.
struct SourceBox {
  std::string file, dataset;
  Box box;
};

/// A dataset without elements of its own: a reader of HDF5 1.10 or newer sees those of `sources`.
void create_virtual_dataset(const H5File& file, const std::string& name, DType dtype, const Shape& shape,
                            const std::vector<SourceBox>& sources);

}  // namespace caravan::io::h5
