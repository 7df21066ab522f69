#include "io/checkpoint/read_tensor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "caravan/check.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/files/convert.hpp"
#include "io/files/on_threads.hpp"

namespace caravan::io {
namespace {

constexpr std::uint64_t kBufferBytes = std::uint64_t{4} << 20;
// Less is read before another thread has begun.
constexpr std::uint64_t kWorthThreads = std::uint64_t{32} << 20;

/// The first axis with more than one index, or 0: what is cut along it stays contiguous where the whole is.
int axis_to_cut(const Shape& shape) {
  for (int axis = 0; axis < shape.rank(); ++axis)
    if (shape[axis] > 1) return axis;
  return 0;
}

/// A part of what is wanted, and where it starts in the tensor.
struct Slab {
  Origin origin;
  TensorView to;
};

Slab slab_of(const Slab& whole, int axis, std::int64_t begin, std::int64_t end) {
  Slab slab{whole.origin, whole.to.slice(axis, begin, end)};
  slab.origin[static_cast<std::size_t>(axis)] += begin;
  return slab;
}

/// Through a buffer where the target's strides or type differ from the file's.
void read_through(const StoredTensor& stored, BlockReader& blocks, const Slab& whole) {
  const DType dtype = stored.tensor().dtype;
  const int axis = axis_to_cut(whole.to.shape);
  const std::int64_t all = whole.to.extent(axis);
  const std::uint64_t bytes = static_cast<std::uint64_t>(whole.to.count()) * size_of(dtype);
  const std::uint64_t a_row = std::max<std::uint64_t>(bytes / static_cast<std::uint64_t>(all), 1);
  const auto rows = static_cast<std::int64_t>(std::max<std::uint64_t>(kBufferBytes / a_row, 1));
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(
      static_cast<std::size_t>(std::min(rows, all)) * static_cast<std::size_t>(a_row));
  for (std::int64_t first = 0; first < all; first += rows) {
    const Slab slab = slab_of(whole, axis, first, std::min(first + rows, all));
    const TensorView piece(buffer.get(), dtype, slab.to.shape);
    stored.read(blocks, slab.origin, piece);
    copy_elements(piece, slab.to);
  }
}

void read_element(const StoredTensor& stored, BlockReader& blocks, const TensorView& to) {
  TensorView row = to;
  row.shape = Shape{1};
  std::array<std::byte, sizeof(double)> element{};
  const DType dtype = stored.tensor().dtype;
  stored.read(blocks, {}, TensorView(element.data(), dtype, {}));
  copy_elements(TensorView(element.data(), dtype, {1}), row);
}

void read_slab(const StoredTensor& stored, BlockReader& blocks, const Slab& slab) {
  if (slab.to.dtype == stored.tensor().dtype && slab.to.contiguous())
    return stored.read(blocks, slab.origin, slab.to);
  if (slab.to.shape.rank() == 0) return read_element(stored, blocks, slab.to);
  if (slab.to.count() > 0) read_through(stored, blocks, slab);
}

}  // namespace

void read_tensor(const StoredTensor& stored, BlockReader& blocks, const Origin& origin, const TensorView& to,
                 int threads) {
  const TensorRecord& tensor = stored.tensor();
  const bool converts = to.dtype == DType::f32 || to.dtype == DType::bf16 || to.dtype == DType::f16;
  CARAVAN_CHECK(to.dtype == tensor.dtype || converts, IoError,
                fmt::format("{} is stored as {} ({} was asked for{})", tensor.name, name_of(tensor.dtype),
                            name_of(to.dtype), to.contiguous() ? "" : ", with strides"));
  const Slab whole{origin, to};
  if (threads <= 1 || to.count() == 0 || to.bytes() < kWorthThreads) return read_slab(stored, blocks, whole);
  const int axis = axis_to_cut(to.shape);
  const std::int64_t all = to.extent(axis), rows = (all + threads - 1) / threads;
  on_threads(static_cast<std::size_t>((all + rows - 1) / rows), threads, [&](std::size_t index) {
    const std::int64_t begin = static_cast<std::int64_t>(index) * rows;
    read_slab(stored, blocks, slab_of(whole, axis, begin, std::min(begin + rows, all)));
  });
}

}  // namespace caravan::io
