#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/tensor.hpp"
#include "io/hdf5/h5_file.hpp"

namespace caravan::io::h5 {

/// Rows [row, row + rows) of axis 0 that lie, as a dataset of the same name, in `file` beside the file that
/// shows them.
struct SourceRows {
  std::string file;
  std::int64_t row = 0, rows = 0;
};

/// A dataset without elements of its own: a reader of HDF5 1.10 or newer sees those of `sources`.
void create_virtual_dataset(const H5File& file, const std::string& name, DType dtype, const Shape& shape,
                            const std::vector<SourceRows>& sources);

}  // namespace caravan::io::h5
