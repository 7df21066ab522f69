#include "io/files/pack.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

namespace caravan::io {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{4} << 20;

/// Gathers elements into one buffer that is handed out when full.
class Packer {
 public:
  explicit Packer(const std::function<void(std::span<const std::byte>)>& take) : take_(take) {
    buffer_.reserve(kPieceBytes);
  }

  void add(const std::byte* from, std::size_t bytes) {
    if (buffer_.size() + bytes > kPieceBytes) flush();
    if (bytes >= kPieceBytes) return take_({from, bytes});
    buffer_.insert(buffer_.end(), from, from + bytes);
  }

  void flush() {
    if (!buffer_.empty()) take_(buffer_);
    buffer_.clear();
  }

 private:
  const std::function<void(std::span<const std::byte>)>& take_;
  std::vector<std::byte> buffer_;
};

/// Depth is at most the four axes of a shape.
void pack_axis(const TensorView& view, int axis, const std::byte* from, Packer& packer) {
  const std::size_t size = size_of(view.dtype);
  const int last = view.shape.rank() - 1;
  if (axis > last) return packer.add(from, size);
  if (axis == last && view.stride(axis) == 1)
    return packer.add(from, static_cast<std::size_t>(view.extent(axis)) * size);
  for (std::int64_t i = 0; i < view.extent(axis); ++i) {
    pack_axis(view, axis + 1, from + i * view.stride(axis) * static_cast<std::int64_t>(size), packer);
  }
}

}  // namespace

void for_each_packed(const TensorView& view, const std::function<void(std::span<const std::byte>)>& take) {
  if (view.count() == 0) return;
  if (view.contiguous()) return take({view.as<const std::byte>(), view.bytes()});
  Packer packer(take);
  pack_axis(view, 0, view.as<const std::byte>(), packer);
  packer.flush();
}

}  // namespace caravan::io
