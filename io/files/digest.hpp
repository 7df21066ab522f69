#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace caravan::io {

/// XXH3 with 64 bits over pieces: finds damage, does not resist an attacker. Runs at the speed of memory.
class Digest {
 public:
  Digest();
  ~Digest();
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;

  void add(std::span<const std::byte> data);
  std::uint64_t value() const;
  /// 16 hexadecimal digits.
  std::string text() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::uint64_t digest_of(std::span<const std::byte> data);
std::string digest_text(std::span<const std::byte> data);

}  // namespace caravan::io
