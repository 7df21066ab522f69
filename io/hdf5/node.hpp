#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "caravan/tensor.hpp"

namespace caravan::io::h5 {

/// One object of an HDF5 file.
struct Node {
  enum class Kind { group, dataset };
  std::string path;  ///< "/model/norm.weight"
  Kind kind = Kind::group;
  std::string type;                    ///< of a dataset: "f32", "bf16", or HDF5's class of type ("compound")
  std::vector<std::uint64_t> extents;  ///< of a dataset
  std::uint64_t bytes = 0;
  std::optional<DType> dtype;  ///< of a dataset that `Dataset` can open
};

}  // namespace caravan::io::h5
