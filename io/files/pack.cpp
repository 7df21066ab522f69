#include "io/files/pack.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

namespace caravan::io {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{4} << 20;

/// Appends axis `axis` and those inside it to `to`; depth is at most the four axes of a shape.
std::byte* pack_axis(const TensorView& view, int axis, const std::byte* from, std::byte* to) {
  const std::size_t size = size_of(view.dtype);
  const int last = view.shape.rank() - 1;
  const bool is_run = axis == last && view.stride(axis) == 1;
  if (axis > last || is_run) {
    const std::size_t bytes = is_run ? static_cast<std::size_t>(view.extent(axis)) * size : size;
    std::memcpy(to, from, bytes);
    return to + bytes;
  }
  for (std::int64_t i = 0; i < view.extent(axis); ++i) {
    to = pack_axis(view, axis + 1, from + i * view.stride(axis) * static_cast<std::int64_t>(size), to);
  }
  return to;
}

}  // namespace

std::int64_t rows_a_piece(const TensorView& view) {
  const std::int64_t rows = std::max<std::int64_t>(view.extent(0), 1);
  const std::size_t row_bytes = std::max<std::size_t>(view.bytes() / static_cast<std::size_t>(rows), 1);
  return std::max<std::int64_t>(static_cast<std::int64_t>(kPieceBytes / row_bytes), 1);
}

void for_each_contiguous(const TensorView& view,
                         const std::function<void(std::int64_t, const TensorView&)>& take) {
  if (view.count() == 0) return;
  if (view.contiguous()) return take(0, TensorView(view.data, view.dtype, view.shape));
  const std::int64_t rows = rows_a_piece(view);
  std::vector<std::byte> buffer;
  for (std::int64_t first = 0; first < view.extent(0); first += rows) {
    const TensorView part = view.rows(first, std::min(first + rows, view.extent(0)));
    buffer.resize(part.bytes());
    pack_axis(part, 0, part.as<const std::byte>(), buffer.data());
    take(first, TensorView(buffer.data(), part.dtype, part.shape));
  }
}

void for_each_packed(const TensorView& view, const std::function<void(std::span<const std::byte>)>& take) {
  for_each_contiguous(view, [&](std::int64_t, const TensorView& piece) { take(bytes_of(piece)); });
}

}  // namespace caravan::io
