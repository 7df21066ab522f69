#pragma once

#include <vector>

#include "io/hdf5/h5_file.hpp"
#include "io/hdf5/node.hpp"

namespace caravan::io::h5 {

/// Every group and dataset, in order of name, the root left out. IoError for what a file may use to reach
/// outside itself or to exhaust its reader: soft and external links, external and virtual storage, unknown
/// filters, more than 16 levels, more than a million objects.
std::vector<Node> walk(const H5File& file);

}  // namespace caravan::io::h5
