#include "io/checkpoint/snapshot.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "io/files/direct_file.hpp"

namespace caravan::io {

void Snapshot::Unmap::operator()(std::byte* pages) const {
  ::munmap(pages, bytes);
}

std::uint64_t Snapshot::bytes_of(const std::vector<Piece>& pieces) {
  std::uint64_t bytes = 0;
  for (const Piece& piece : pieces) bytes += DirectFile::whole_pages(piece.bytes());
  return bytes;
}

Snapshot::Snapshot(std::vector<Piece> pieces) : pieces_(std::move(pieces)) {
  for (const Piece& piece : pieces_) {
    starts_.push_back(bytes_);
    bytes_ += DirectFile::whole_pages(piece.bytes());
  }
  const std::uint64_t mapped = std::max<std::uint64_t>(bytes_, DirectFile::kPage);
  void* pages = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  memory_ = {static_cast<std::byte*>(pages), Unmap{mapped}};
  // O_DIRECT pins every page of a write: huge ones are pinned 512 times faster. Only a wish.
  ::madvise(pages, mapped, MADV_HUGEPAGE);
  std::memset(pages, 0, mapped);
}

TensorView Snapshot::elements(std::size_t piece) const {
  return {memory_.get() + starts_[piece], pieces_[piece].tensor.dtype, pieces_[piece].shape()};
}

}  // namespace caravan::io
