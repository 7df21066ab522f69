#pragma once

#include <cstdint>
#include <string>
#include <vector>

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

}  // namespace caravan::io::h5
