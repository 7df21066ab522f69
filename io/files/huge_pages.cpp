#include "io/files/huge_pages.hpp"

#include <sys/mman.h>

#include <cstring>
#include <new>

namespace caravan::io {

void HugePages::Unmap::operator()(std::byte* pages) const {
  ::munmap(pages, bytes);
}

HugePages::HugePages(std::uint64_t bytes) {
  const std::uint64_t mapped = bytes + kBytes;  // the part before the first whole page is never touched
  void* pages = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  mapped_ = {static_cast<std::byte*>(pages), Unmap{mapped}};
  void* first = pages;
  std::size_t space = mapped;
  bytes_ = {static_cast<std::byte*>(std::align(kBytes, bytes, first, space)), bytes};
  ::madvise(bytes_.data(), bytes_.size(), MADV_HUGEPAGE);
  std::memset(bytes_.data(), 0, bytes_.size());
}

}  // namespace caravan::io
