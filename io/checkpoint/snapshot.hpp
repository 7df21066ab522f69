#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "io/checkpoint/piece.hpp"
#include "io/files/huge_pages.hpp"

namespace caravan::io {

/// One rank's share of a checkpoint between the step that it belongs to and the disk. Every piece starts on a
/// page, so that it can be written past the page cache. Memory is taken, and touched, once for a whole run.
class Snapshot {
 public:
  /// std::bad_alloc when the memory is not there.
  explicit Snapshot(std::vector<Piece> pieces);

  const std::vector<Piece>& pieces() const noexcept { return pieces_; }
  /// Host memory of the piece's shape, contiguous, to fill and to write.
  TensorView elements(std::size_t piece) const;
  std::uint64_t bytes() const noexcept { return memory_.bytes().size(); }
  std::span<std::byte> memory() const noexcept { return memory_.bytes(); }
  /// Of pieces of so many bytes each, before there is memory.
  static std::uint64_t bytes_of(const std::vector<std::uint64_t>& pieces);

 private:
  std::vector<Piece> pieces_;
  std::vector<std::uint64_t> starts_;
  HugePages memory_;
};

}  // namespace caravan::io
