#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "io/files/number_type.hpp"

namespace caravan::io::h5 {

/// What someone wrote beside a group or dataset.
struct Attribute {
  std::string name;
  std::string type;                    ///< as of a node
  std::vector<std::uint64_t> extents;  ///< none: one value
  /// A number, truth, text, the name of an enumeration's member, or a list of such in row-major order (NaN
  /// and infinities as text); null where there is none to show, and `why` says so.
  nlohmann::json value;
  std::string why;
};

/// One object of an HDF5 file.
struct Node {
  enum class Kind { group, dataset };
  std::string path;  ///< "/model/norm.weight"; "/" for the root, which is listed where it has attributes
  Kind kind = Kind::group;
  std::string type;  ///< of a dataset: "f32", "u16 be", or HDF5's class of type ("compound")
  std::vector<std::uint64_t> extents;  ///< of a dataset
  std::uint64_t bytes = 0;
  std::optional<NumberType> element;  ///< of a dataset whose elements can be read
  std::string unreadable;             ///< why they cannot: "null dataspace (it holds no elements)"
  std::vector<Attribute> attributes;
};

}  // namespace caravan::io::h5
