#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace caravan::io {

/// XXH3 with 64 bits, without a seed, as https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
/// describes it: the digest of checkpoints and token shards where libxxhash is not installed.
class Xxh3 {
 public:
  void add(std::span<const std::byte> data);
  /// Of all that was added; more may follow.
  std::uint64_t value() const;

 private:
  static constexpr std::size_t kStripe = 64, kBlock = 1024;
  using Lanes = std::array<std::uint64_t, 8>;

  static void take_stripe(Lanes& lanes, const std::byte* stripe, const std::byte* secret);
  static void take_block(Lanes& lanes, const std::byte* block);
  void take_block(const std::byte* block);
  std::array<std::byte, kStripe> last_stripe() const;
  std::uint64_t long_value() const;

  static const Lanes kStart;
  Lanes lanes_ = kStart;
  std::array<std::byte, kBlock> rest_{};     ///< of the last block, which is never empty once something came
  std::array<std::byte, kStripe> before_{};  ///< the bytes before `rest_`
  std::size_t held_ = 0;                     ///< bytes of `rest_`
  std::uint64_t length_ = 0;
};

}  // namespace caravan::io
