#include <gtest/gtest.h>

#ifdef CARAVAN_HAVE_XXHASH
#define XXH_INLINE_ALL
#include <xxhash.h>
#endif

#include <random>

#include "io/files/xxh3.hpp"

// The own digest gives the numbers of the library: files of a build with one are read by a build without.
namespace caravan::io {
namespace {

/// Of bytes that a linear congruential generator makes; by libxxhash 0.8.
constexpr struct {
  std::size_t size;
  std::uint64_t digest;
} kKnown[] = {
    {0, 0x2d06800538d394c2},    {1, 0xe5e62017e96f839c},    {3, 0xd3bcc83c6f14e70f},
    {4, 0xc7f159f34b126cb4},    {8, 0x0f25a2a1cc43dda2},    {9, 0x1e3be9699baa50cf},
    {16, 0x9ec324145cea1dcb},   {17, 0x48f3651d7436310a},   {64, 0x7abe508541644d25},
    {128, 0x5d813d42c0005ea8},  {129, 0xc61639b552225575},  {200, 0xaea1c4e1114bf7db},
    {240, 0x7d85b8d4f8b10c82},  {241, 0x5c56141c894cd97e},  {1024, 0x0551dea22e104ea8},
    {1025, 0xdbe2ed3c377d9922}, {2048, 0x0e137a69a82b62c0}, {5000, 0x80b0120fc87dbf6e},
};

std::vector<std::byte> made_bytes(std::size_t size) {
  std::vector<std::byte> bytes(size);
  std::uint32_t state = 1;
  for (std::byte& byte : bytes) {
    state = state * 1103515245 + 12345;
    byte = static_cast<std::byte>(state >> 16);
  }
  return bytes;
}

std::uint64_t digest(std::span<const std::byte> bytes, std::size_t piece) {
  Xxh3 digest;
  for (std::size_t at = 0; at < bytes.size(); at += piece)
    digest.add(bytes.subspan(at, std::min(piece, bytes.size() - at)));
  return digest.value();
}

TEST(Xxh3, IsTheOneOfTheSpecification) {
  for (const auto& known : kKnown)
    for (std::size_t piece : {1, 7, 64, 1000, 1024, 4096})
      EXPECT_EQ(digest(made_bytes(known.size), piece), known.digest)
          << known.size << " in pieces of " << piece;
}

TEST(Xxh3, MoreMayFollowAValue) {
  const std::vector<std::byte> bytes = made_bytes(5000);
  Xxh3 one;
  one.add(std::span(bytes).first(3000));
  const std::uint64_t before = one.value();
  EXPECT_EQ(one.value(), before);
  one.add(std::span(bytes).subspan(3000));
  EXPECT_EQ(one.value(), digest(bytes, bytes.size()));
}

#ifdef CARAVAN_HAVE_XXHASH
TEST(Xxh3, IsTheLibrarysForEverySize) {
  const std::vector<std::byte> bytes = made_bytes(4000);
  std::mt19937 random(3);
  for (std::size_t size = 0; size <= bytes.size(); ++size)
    ASSERT_EQ(digest(std::span(bytes).first(size), 1 + random() % 1500), XXH3_64bits(bytes.data(), size))
        << size;
}
#endif

}  // namespace
}  // namespace caravan::io
