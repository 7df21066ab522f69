#include "io/files/xxh3.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace caravan::io {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are read as they lie in memory");

constexpr std::uint64_t kPrime32[] = {0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D};
constexpr std::uint64_t kPrime64[] = {0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9,
                                      0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5};
constexpr std::uint64_t kMix1 = 0x165667919E3779F9, kMix2 = 0x9FB21C651E98DF25;

/// The secret of the specification.
constexpr unsigned char kSecretBytes[192] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
};
constexpr std::size_t kSecretSize = sizeof kSecretBytes;

const std::byte* secret(std::size_t at) {
  return reinterpret_cast<const std::byte*>(kSecretBytes) + at;
}

template <class Number>
std::uint64_t read(const std::byte* from) {
  Number number;
  std::memcpy(&number, from, sizeof number);
  return number;
}
std::uint64_t read64(const std::byte* from) {
  return read<std::uint64_t>(from);
}
std::uint64_t read32(const std::byte* from) {
  return read<std::uint32_t>(from);
}
/// Two numbers of the secret in one.
std::uint64_t key(std::size_t at) {
  return read64(secret(at)) ^ read64(secret(at + 8));
}

/// The halves of the product with 128 bits, in one.
std::uint64_t folded_product(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t avalanche(std::uint64_t hash) {
  hash = (hash ^ (hash >> 37)) * kMix1;
  return hash ^ (hash >> 32);
}
/// The one of XXH64.
std::uint64_t older_avalanche(std::uint64_t hash) {
  hash = (hash ^ (hash >> 33)) * kPrime64[1];
  hash = (hash ^ (hash >> 29)) * kPrime64[2];
  return hash ^ (hash >> 32);
}

std::uint64_t of_up_to_3(const std::byte* data, std::size_t size) {
  if (size == 0) return older_avalanche(key(56));
  const auto byte = [&](std::size_t at) { return std::to_integer<std::uint32_t>(data[at]); };
  const std::uint32_t all =
      byte(0) << 16 | byte(size / 2) << 24 | byte(size - 1) | static_cast<std::uint32_t>(size) << 8;
  return older_avalanche(all ^ read32(secret(0)) ^ read32(secret(4)));
}

std::uint64_t of_4_to_8(const std::byte* data, std::size_t size) {
  std::uint64_t hash = (read32(data + size - 4) + (read32(data) << 32)) ^ key(8);
  hash ^= std::rotl(hash, 49) ^ std::rotl(hash, 24);
  hash *= kMix2;
  hash ^= (hash >> 35) + size;
  hash *= kMix2;
  return hash ^ (hash >> 28);
}

std::uint64_t of_9_to_16(const std::byte* data, std::size_t size) {
  const std::uint64_t low = read64(data) ^ key(24), high = read64(data + size - 8) ^ key(40);
  return avalanche(size + __builtin_bswap64(low) + high + folded_product(low, high));
}

std::uint64_t mixed(const std::byte* data, std::size_t secret_at) {
  return folded_product(read64(data) ^ read64(secret(secret_at)),
                        read64(data + 8) ^ read64(secret(secret_at + 8)));
}

/// Pairs of 16 bytes from both ends towards the middle.
std::uint64_t of_17_to_128(const std::byte* data, std::size_t size) {
  std::uint64_t sum = size * kPrime64[0];
  for (std::size_t pair = 0; pair <= (size - 1) / 32; ++pair) {
    sum += mixed(data + 16 * pair, 32 * pair);
    sum += mixed(data + size - 16 * (pair + 1), 32 * pair + 16);
  }
  return avalanche(sum);
}

std::uint64_t of_129_to_240(const std::byte* data, std::size_t size) {
  constexpr std::size_t kFirst = 8, kLater = 3, kLeastSecret = 136, kLast = 17;
  std::uint64_t sum = size * kPrime64[0];
  for (std::size_t at = 0; at < kFirst; ++at) sum += mixed(data + 16 * at, 16 * at);
  sum = avalanche(sum) + mixed(data + size - 16, kLeastSecret - kLast);
  for (std::size_t at = kFirst; at < size / 16; ++at)
    sum += mixed(data + 16 * at, 16 * (at - kFirst) + kLater);
  return avalanche(sum);
}

constexpr std::size_t kMostShort = 240;
std::uint64_t of_short(const std::byte* data, std::size_t size) {
  if (size <= 3) return of_up_to_3(data, size);
  if (size <= 8) return of_4_to_8(data, size);
  if (size <= 16) return of_9_to_16(data, size);
  return size <= 128 ? of_17_to_128(data, size) : of_129_to_240(data, size);
}

}  // namespace

const Xxh3::Lanes Xxh3::kStart = {kPrime32[2], kPrime64[0], kPrime64[1], kPrime64[2],
                                  kPrime64[3], kPrime32[1], kPrime64[4], kPrime32[0]};

void Xxh3::take_stripe(Lanes& lanes, const std::byte* stripe, const std::byte* secret) {
  for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
    const std::uint64_t value = read64(stripe + 8 * lane), keyed = value ^ read64(secret + 8 * lane);
    lanes[lane ^ 1] += value;
    lanes[lane] += (keyed & 0xFFFFFFFF) * (keyed >> 32);
  }
}

void Xxh3::take_block(Lanes& lanes, const std::byte* block) {
  for (std::size_t stripe = 0; stripe < kBlock / kStripe; ++stripe)
    take_stripe(lanes, block + kStripe * stripe, secret(8 * stripe));
  const std::byte* last = secret(kSecretSize - kStripe);
  for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
    std::uint64_t& value = lanes[lane];
    value = (value ^ (value >> 47) ^ read64(last + 8 * lane)) * kPrime32[0];
  }
}

void Xxh3::take_block(const std::byte* block) {
  take_block(lanes_, block);
  std::copy_n(block + kBlock - kStripe, kStripe, before_.begin());
}

/// A full block stays until something follows: the last bytes are treated otherwise.
void Xxh3::add(std::span<const std::byte> data) {
  length_ += data.size();
  while (!data.empty()) {
    if (held_ == kBlock) {
      take_block(rest_.data());
      held_ = 0;
    }
    if (held_ == 0) {
      for (; data.size() > kBlock; data = data.subspan(kBlock)) take_block(data.data());
    }
    const std::size_t taken = std::min(data.size(), kBlock - held_);
    std::copy_n(data.begin(), taken, rest_.begin() + static_cast<std::ptrdiff_t>(held_));
    held_ += taken;
    data = data.subspan(taken);
  }
}

/// The last 64 bytes of all.
std::array<std::byte, Xxh3::kStripe> Xxh3::last_stripe() const {
  std::array<std::byte, kStripe> stripe;
  const std::size_t own = std::min(held_, kStripe), older = kStripe - own;
  std::copy_n(before_.end() - static_cast<std::ptrdiff_t>(older), older, stripe.begin());
  std::copy_n(rest_.begin() + static_cast<std::ptrdiff_t>(held_ - own), own,
              stripe.begin() + static_cast<std::ptrdiff_t>(older));
  return stripe;
}

std::uint64_t Xxh3::long_value() const {
  Lanes lanes = lanes_;
  for (std::size_t stripe = 0; stripe < (held_ - 1) / kStripe; ++stripe)
    take_stripe(lanes, rest_.data() + kStripe * stripe, secret(8 * stripe));
  constexpr std::size_t kLastShift = 7, kMerge = 11;
  take_stripe(lanes, last_stripe().data(), secret(kSecretSize - kStripe - kLastShift));
  std::uint64_t sum = length_ * kPrime64[0];
  for (std::size_t pair = 0; pair < lanes.size() / 2; ++pair)
    sum += folded_product(lanes[2 * pair] ^ read64(secret(kMerge + 16 * pair)),
                          lanes[2 * pair + 1] ^ read64(secret(kMerge + 16 * pair + 8)));
  return avalanche(sum);
}

std::uint64_t Xxh3::value() const {
  return length_ <= kMostShort ? of_short(rest_.data(), static_cast<std::size_t>(length_)) : long_value();
}

}  // namespace caravan::io
