#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "caravan/tensor.hpp"

namespace caravan::jobs {

/// One tensor of a file that is inspected.
struct TensorEntry {
  std::string name;                    ///< "/model/norm.weight"
  std::string type;                    ///< "f32", "bf16", or what HDF5 calls it
  std::vector<std::uint64_t> extents;  ///< outermost first
  std::uint64_t bytes = 0;
  /// Set where the elements can be read: a type of ours and at most four axes.
  std::optional<DType> dtype;

  /// Of a tensor that can be read.
  Shape shape() const;
};

using BlockOrigin = std::array<std::int64_t, Shape::kMaxRank>;

/// Where inspect reads tensors from: a checkpoint of ours, or an HDF5 file that nobody vouches for.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  /// In natural order of their names.
  virtual const std::vector<TensorEntry>& tensors() const = 0;
  /// The block at `origin` of `to`'s shape, in the stored type; contiguous host memory. IoError for damage.
  virtual void read(const TensorEntry& tensor, const BlockOrigin& origin, const TensorView& to) const = 0;
};

}  // namespace caravan::jobs
