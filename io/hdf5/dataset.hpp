#pragma once

#include <cstdint>
#include <string>

#include "caravan/box.hpp"
#include "caravan/tensor.hpp"
#include "io/hdf5/h5_file.hpp"
#include "io/hdf5/space.hpp"

namespace caravan::io::h5 {

/// A tensor in an HDF5 file. Bytes are moved as they are, never converted.
class Dataset {
 public:
  /// Makes the groups on the way. Contiguous and allocated at once, so that its place in the file is known.
  static Dataset create(const H5File& file, const std::string& name, DType dtype, const Shape& shape);
  static Dataset open(const H5File& file, const std::string& name);

  const std::string& name() const noexcept { return name_; }
  DType dtype() const noexcept { return dtype_; }
  const Shape& shape() const noexcept { return shape_; }
  /// Where the elements start in the file, in bytes; 0 when there are none.
  std::uint64_t file_offset() const;

  /// The block at `origin` of `view`'s shape; contiguous host views of the dataset's type.
  void write(const Origin& origin, const TensorView& view);
  void read(const Origin& origin, const TensorView& view) const;
  void close() { handle_.close(name_); }

 private:
  Dataset(std::string name, Handle handle, DType dtype, const Shape& shape)
      : name_(std::move(name)), handle_(std::move(handle)), dtype_(dtype), shape_(shape) {}
  Handle block(const Origin& origin, const TensorView& view) const;

  std::string name_;
  Handle handle_;
  DType dtype_;
  Shape shape_;
};

}  // namespace caravan::io::h5
