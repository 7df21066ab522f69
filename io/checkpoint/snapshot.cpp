#include "io/checkpoint/snapshot.hpp"

#include <utility>

#include "io/files/direct_file.hpp"

namespace caravan::io {

namespace {

std::vector<std::uint64_t> bytes_of_each(const std::vector<Piece>& pieces) {
  std::vector<std::uint64_t> bytes;
  for (const Piece& piece : pieces) bytes.push_back(piece.bytes());
  return bytes;
}

}  // namespace

std::uint64_t Snapshot::bytes_of(const std::vector<std::uint64_t>& pieces) {
  std::uint64_t bytes = 0;
  for (const std::uint64_t piece : pieces) bytes += DirectFile::whole_pages(piece);
  return bytes;
}

Snapshot::Snapshot(std::vector<Piece> pieces)
    : pieces_(std::move(pieces)), memory_(bytes_of(bytes_of_each(pieces_))) {
  std::uint64_t next = 0;
  for (const Piece& piece : pieces_) {
    starts_.push_back(next);
    next += DirectFile::whole_pages(piece.bytes());
  }
}

TensorView Snapshot::elements(std::size_t piece) const {
  return {memory_.bytes().data() + starts_[piece], pieces_[piece].tensor.dtype, pieces_[piece].shape()};
}

}  // namespace caravan::io
