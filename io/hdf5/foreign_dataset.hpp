#pragma once

#include <string>

#include "io/hdf5/library.hpp"
#include "io/hdf5/node.hpp"

namespace caravan::io::h5 {

/// What an open dataset is, and whether its elements can be read. IoError for one that lies outside the file,
/// is virtual, or uses a filter that is not HDF5's own.
Node describe_dataset(hid_t dataset, const std::string& path);

}  // namespace caravan::io::h5
