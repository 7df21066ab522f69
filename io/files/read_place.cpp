#include "io/files/read_place.hpp"

#include <algorithm>
#include <vector>

#include "io/files/convert.hpp"

namespace caravan::io {
namespace {

constexpr std::uint64_t kReadBytes = std::uint64_t{8} << 20;

/// From the first byte of the view to behind its last; it holds something.
std::uint64_t span_bytes(const TensorView& view) {
  std::int64_t last = 0;
  for (int axis = 0; axis < view.shape.rank(); ++axis) last += (view.extent(axis) - 1) * view.stride(axis);
  return (static_cast<std::uint64_t>(last) + 1) * size_of(view.dtype);
}

/// The axis along which the view reaches farthest, of those with more than one element; -1: none.
int widest_axis(const TensorView& view) {
  const auto reach = [&](int axis) { return (view.extent(axis) - 1) * view.stride(axis); };
  int widest = -1;
  for (int axis = 0; axis < view.shape.rank(); ++axis) {
    const bool is_wider = widest < 0 || reach(axis) > reach(widest);
    if (view.extent(axis) > 1 && is_wider) widest = axis;
  }
  return widest;
}

/// How many indices of the axis one read may have.
std::int64_t rows_of_a_read(const TensorView& view, int axis) {
  const std::uint64_t a_row = static_cast<std::uint64_t>(view.stride(axis)) * size_of(view.dtype);
  return static_cast<std::int64_t>(
      std::max<std::uint64_t>(kReadBytes / std::max<std::uint64_t>(a_row, 1), 1));
}

void read_at_once(const File& file, const TensorView& place, const TensorView& to) {
  std::vector<std::byte> buffer(span_bytes(place));
  file.read_at(reinterpret_cast<std::uintptr_t>(place.data), buffer);
  TensorView read = place;
  read.data = buffer.data();
  copy_elements(read, to);
}

}  // namespace

void read_place(const File& file, const TensorView& place, const TensorView& to) {
  if (place.count() == 0) return;
  if (place.dtype == to.dtype && place.contiguous() && to.contiguous())
    return file.read_at(reinterpret_cast<std::uintptr_t>(place.data), {to.as<std::byte>(), to.bytes()});
  const int axis = widest_axis(place);
  if (span_bytes(place) <= kReadBytes || axis < 0) return read_at_once(file, place, to);
  const std::int64_t rows = rows_of_a_read(place, axis);
  // Where axes overlap, none may be long enough to be divided: the four of them reach a few MiB.
  if (rows >= place.extent(axis)) return read_at_once(file, place, to);
  for (std::int64_t begin = 0; begin < place.extent(axis); begin += rows) {
    const std::int64_t end = std::min(begin + rows, place.extent(axis));
    read_place(file, place.slice(axis, begin, end), to.slice(axis, begin, end));
  }
}

}  // namespace caravan::io
