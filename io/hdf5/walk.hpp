#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/hdf5/h5_file.hpp"

namespace caravan::io::h5 {

/// One object of an HDF5 file.
struct Node {
  enum class Kind { group, dataset };
  std::string path;  ///< "/model/norm.weight"
  Kind kind = Kind::group;
  std::string type;                    ///< of a dataset: "f32", "bf16", or HDF5's class of type ("compound")
  std::vector<std::uint64_t> extents;  ///< of a dataset
  std::uint64_t bytes = 0;
};

/// Every group and dataset, in order of name, the root left out. IoError for what a file may use to reach
/// outside itself or to exhaust its reader: soft and external links, external and virtual storage, unknown
/// filters, more than 16 levels, more than a million objects.
std::vector<Node> walk(const H5File& file);

}  // namespace caravan::io::h5
