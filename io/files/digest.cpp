#include "io/files/digest.hpp"

#include <fmt/format.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace caravan::io {

struct Digest::State {
  XXH3_state_t xxh;
};

Digest::Digest() : state_(std::make_unique<State>()) {
  XXH3_64bits_reset(&state_->xxh);
}
Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

void Digest::add(std::span<const std::byte> data) {
  XXH3_64bits_update(&state_->xxh, data.data(), data.size());
}

std::uint64_t Digest::value() const {
  return XXH3_64bits_digest(&state_->xxh);
}

std::string Digest::text() const {
  return fmt::format("{:016x}", value());
}

std::uint64_t digest_of(std::span<const std::byte> data) {
  return XXH3_64bits(data.data(), data.size());
}

std::string digest_text(std::span<const std::byte> data) {
  Digest digest;
  digest.add(data);
  return digest.text();
}

}  // namespace caravan::io
