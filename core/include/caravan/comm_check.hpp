#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "caravan/tensor.hpp"

namespace caravan {

/// What every group of ranks asks of the arguments of an exchange, in one wording: CommError names the
/// exchange `what`, the group and the numbers.
class CommCheck {
 public:
  /// Borrows the group's name.
  CommCheck(std::string_view group, int rank, int size) : group_(group), rank_(rank), size_(size) {}

  /// Only whole memory travels.
  void contiguous(const TensorView& view, const char* what) const;
  /// Another rank of the group, and a tag from 0 to `last_tag`.
  void peer(int peer, int tag, int last_tag, const char* what) const;
  void root(int root, const char* what) const;
  /// `blocks` are one `block` for each rank.
  void blocks(const TensorView& block, const TensorView& blocks, const char* what) const;
  /// Equal blocks each way.
  void exchanged(const TensorView& in, const TensorView& out, const char* what) const;
  /// Rows of one kind on both sides.
  void rows(const TensorView& in, const TensorView& out, const char* what) const;
  /// One a rank, and no more than `most` together.
  void counts(std::span<const std::int64_t> counts, std::int64_t most, std::string_view which,
              const char* what) const;

 private:
  std::string at(const char* what) const;

  std::string_view group_;
  int rank_, size_;
};

/// Bytes of one row of axis 0.
std::int64_t row_bytes(const TensorView& view);

}  // namespace caravan
