#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "caravan/box.hpp"
#include "caravan/tensor.hpp"
#include "io/files/number_type.hpp"

namespace caravan::jobs {

/// One tensor of a file that is inspected.
struct TensorEntry {
  std::string name;                    ///< "/model/norm.weight"
  std::string type;                    ///< "f32", "u16 be" (big-endian), or what HDF5 calls it
  std::vector<std::uint64_t> extents;  ///< outermost first
  std::uint64_t bytes = 0;
  std::optional<io::NumberType> element;  ///< set where the elements can be read
  std::string unreadable;                 ///< why they cannot

  /// Of a tensor that can be read.
  Shape shape() const;
};

/// Contiguous host memory for a block of a tensor, row-major.
struct Block {
  std::byte* data = nullptr;
  io::NumberType element = io::NumberType::f32;
  Shape shape;

  std::int64_t count() const { return shape.count(); }
  std::size_t bytes() const { return static_cast<std::size_t>(count()) * size_of(element); }
};

/// Where inspect reads tensors from: a checkpoint of ours, or an HDF5 file that nobody vouches for.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  /// In natural order of their names.
  virtual const std::vector<TensorEntry>& tensors() const = 0;
  /// The block at `origin` of `to`'s shape, as the tensor's element. IoError for damage.
  virtual void read(const TensorEntry& tensor, const Origin& origin, const Block& to) const = 0;
};

}  // namespace caravan::jobs
