#pragma once

#include <optional>
#include <string>

#include "io/files/number_type.hpp"
#include "io/hdf5/dataset.hpp"

namespace caravan::io::h5 {

/// Reads blocks of the datasets of a file that others wrote, converted to this machine's byte order. Keeps
/// the dataset that it read last open, and so the chunks of it that HDF5 has decompressed.
class ForeignBlocks {
 public:
  explicit ForeignBlocks(const H5File& file) : file_(file) {}

  /// The bytes of the block at `origin` of the shape `extents`.
  std::string read(const std::string& name, const Origin& origin, const Shape& extents);

 private:
  struct Open {
    std::string name;
    Handle dataset, space, memory;
    NumberType element;
    Shape shape;
  };
  const Open& open(const std::string& name);

  const H5File& file_;
  std::optional<Open> open_;
};

}  // namespace caravan::io::h5
