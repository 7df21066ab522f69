#include "io/files/pack.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

namespace caravan::io {
namespace {

constexpr std::size_t kPackedAtOnce = std::size_t{4} << 20;

/// The outermost axis from which on the elements lie one behind the other.
int run_axis(const TensorView& view) {
  std::int64_t inside = 1;
  int axis = view.shape.rank();
  while (axis > 0 && (view.stride(axis - 1) == inside || view.extent(axis - 1) == 1)) {
    --axis;
    inside *= view.extent(axis);
  }
  return axis;
}

/// Gives the runs from axis `axis` on; depth is at most the four axes of a shape.
template <class Take>
void visit_axis(const TensorView& view, int axis, int run_axis, std::size_t run_bytes, std::byte* from,
                const Take& take) {
  if (axis == run_axis) return take(std::span(from, run_bytes));
  const auto step = view.stride(axis) * static_cast<std::int64_t>(size_of(view.dtype));
  for (std::int64_t i = 0; i < view.extent(axis); ++i)
    visit_axis(view, axis + 1, run_axis, run_bytes, from + i * step, take);
}

}  // namespace

std::int64_t rows_a_piece(const TensorView& view) {
  const std::int64_t rows = std::max<std::int64_t>(view.extent(0), 1);
  const std::size_t row_bytes = std::max<std::size_t>(view.bytes() / static_cast<std::size_t>(rows), 1);
  return std::max<std::int64_t>(static_cast<std::int64_t>(kPackedAtOnce / row_bytes), 1);
}

void for_each_run(const TensorView& view, const std::function<void(std::span<std::byte>)>& take) {
  if (view.count() == 0) return;
  const int axis = run_axis(view);
  std::size_t bytes = size_of(view.dtype);
  for (int inner = axis; inner < view.shape.rank(); ++inner)
    bytes *= static_cast<std::size_t>(view.extent(inner));
  visit_axis(view, 0, axis, bytes, view.as<std::byte>(), take);
}

void pack(const TensorView& view, std::byte* to) {
  for_each_run(view, [&](std::span<const std::byte> run) {
    std::memcpy(to, run.data(), run.size());
    to += run.size();
  });
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
    pack(part, buffer.data());
    take(first, TensorView(buffer.data(), part.dtype, part.shape));
  }
}

void for_each_packed(const TensorView& view, const std::function<void(std::span<const std::byte>)>& take) {
  for_each_contiguous(view, [&](std::int64_t, const TensorView& piece) { take(bytes_of(piece)); });
}

}  // namespace caravan::io
