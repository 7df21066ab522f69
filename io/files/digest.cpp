#include "io/files/digest.hpp"

#include <fmt/format.h>

#ifdef CARAVAN_HAVE_XXHASH
#define XXH_INLINE_ALL
#include <xxhash.h>
#else
#include "io/files/xxh3.hpp"
#endif

namespace caravan::io {

#ifdef CARAVAN_HAVE_XXHASH
/// The library's, which uses the processor's widest registers.
struct Digest::State {
  State() { XXH3_64bits_reset(&xxh); }
  void add(std::span<const std::byte> data) { XXH3_64bits_update(&xxh, data.data(), data.size()); }
  std::uint64_t value() const { return XXH3_64bits_digest(&xxh); }

  XXH3_state_t xxh;
};
#else
struct Digest::State : Xxh3 {};
#endif

Digest::Digest() : state_(std::make_unique<State>()) {}
Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

void Digest::add(std::span<const std::byte> data) {
  state_->add(data);
}

std::uint64_t Digest::value() const {
  return state_->value();
}

std::string Digest::text() const {
  return fmt::format("{:016x}", value());
}

std::uint64_t digest_of(std::span<const std::byte> data) {
  Digest digest;
  digest.add(data);
  return digest.value();
}

std::string digest_text(std::span<const std::byte> data) {
  Digest digest;
  digest.add(data);
  return digest.text();
}

}  // namespace caravan::io
