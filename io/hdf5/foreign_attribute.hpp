#pragma once

#include <vector>

#include "io/hdf5/library.hpp"
#include "io/hdf5/node.hpp"

namespace caravan::io::h5 {

/// The attributes of an open group or dataset, in order of name: at most 256 of them with at most 4096 values
/// and 1 MiB each and 4 MiB in all; what is beyond is listed without its value, and says why.
std::vector<Attribute> attributes_of(hid_t object, const std::string& path);

}  // namespace caravan::io::h5
