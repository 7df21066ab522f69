#include <utility>

#include "io/files/decompress.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kPackedBytes = std::size_t{1} << 18;

}  // namespace

PackedInput::PackedInput(std::unique_ptr<ByteSource> packed, std::string name)
    : packed_(std::move(packed)), name_(std::move(name)), buffer_(kPackedBytes) {}

std::span<const std::byte> PackedInput::rest() {
  if (rest_.empty()) rest_ = std::span<const std::byte>(buffer_).first(packed_->read(buffer_));
  return rest_;
}

}  // namespace caravan::io
