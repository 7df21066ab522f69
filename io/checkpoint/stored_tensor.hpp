#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "io/checkpoint/block_reader.hpp"
#include "io/checkpoint/manifest.hpp"

namespace caravan::io {

/// A tensor and the files that boxes of it lie in, in the order of their first elements. Borrows the
/// manifest.
class StoredTensor {
 public:
  explicit StoredTensor(TensorRecord tensor) : tensor_(std::move(tensor)) {}
  void add(const FileRecord& file, const PieceRecord& piece);
  /// After the last `add`.
  void sort();

  const TensorRecord& tensor() const noexcept { return tensor_; }
  /// The block at `origin` of `to`'s shape, which must lie inside; `to` is contiguous and of the stored type.
  void read(BlockReader& reader, const Origin& origin, const TensorView& to) const;

 private:
  struct Source {
    const FileRecord* file = nullptr;
    const PieceRecord* piece = nullptr;
  };
  void check_inside(const Box& wanted) const;
  void read_common(BlockReader& reader, const Source& source, const Box& wanted, std::byte* to) const;

  TensorRecord tensor_;
  std::vector<Source> sources_;
};

/// Every tensor of a manifest by name; IoError as tensors_of.
std::map<std::string, StoredTensor, std::less<>> index_of(const Manifest& manifest);

}  // namespace caravan::io
