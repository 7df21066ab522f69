#include "tests/support/apart_memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "caravan/check.hpp"

namespace caravan::testing {
namespace {

constexpr std::size_t kReserved = std::size_t{16}
                                  << 30;  // of address space; pages come when they are touched
constexpr std::size_t kPage = 4096;

std::byte* reserve() {
  void* base = mmap(nullptr, kReserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CARAVAN_CHECK(base != MAP_FAILED, DeviceError, "no address space for the device's memory");
  return static_cast<std::byte*>(base);
}

std::size_t whole_pages(std::size_t bytes) {
  return (bytes + kPage - 1) / kPage * kPage;
}

}  // namespace

ApartMemory::ApartMemory() : base_(reserve()) {}

ApartMemory::~ApartMemory() {
  munmap(base_, kReserved);
}

void* ApartMemory::allocate(std::size_t bytes) {
  if (bytes > kReserved - used_ - kPage) return nullptr;
  std::byte* data = base_ + used_;
  used_ += whole_pages(std::max(bytes, kPage));
  blocks_[data] = bytes;
  const Access access(*this);
  std::memset(data, 0xFF, bytes);
  return data;
}

void ApartMemory::release(void* data) noexcept {
  blocks_.erase(static_cast<std::byte*>(data));
  if (blocks_.empty()) used_ = 0;
}

bool ApartMemory::owns(const void* data, std::size_t bytes) const noexcept {
  const auto* begin = static_cast<const std::byte*>(data);
  auto block = blocks_.upper_bound(begin);
  if (block == blocks_.begin()) return false;
  --block;
  return begin + bytes <= block->first + block->second;
}

void ApartMemory::protect(int protection) const {
  CARAVAN_CHECK(used_ == 0 || mprotect(base_, used_, protection) == 0, DeviceError,
                "the pages of the device's memory cannot be opened or closed");
}

ApartMemory::Access::Access(ApartMemory& memory) : memory_(memory) {
  memory_.protect(PROT_READ | PROT_WRITE);
}

ApartMemory::Access::~Access() {
  memory_.protect(PROT_NONE);
}

}  // namespace caravan::testing
