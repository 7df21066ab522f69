#include "io/files/read_place.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>

#include "io/files/convert.hpp"
#include "io/files/on_threads.hpp"

namespace caravan::io {
namespace {

// What is read to be exchanged is still in the processor's own cache then.
constexpr std::uint64_t kExchangedBytes = std::uint64_t{1} << 20;
constexpr std::uint64_t kStraightBytes = std::uint64_t{8} << 20;
// A call to the kernel costs as much as copying so much: shorter stretches are read with what lies between.
constexpr std::uint64_t kRunBytes = 4096;

/// Bytes [begin, end) of `all`, from the first that is wanted on.
struct AxisBytes {
  std::uint64_t begin, end, all;
};

struct Views {
  TensorView place, to;

  Views slice(int axis, std::int64_t begin, std::int64_t end) const {
    return {place.slice(axis, begin, end), to.slice(axis, begin, end)};
  }
};

TensorView with_axes(const TensorView& view, const std::array<int, Shape::kMaxRank>& order) {
  TensorView result = view;
  for (int axis = 0; axis < view.shape.rank(); ++axis) {
    const int from = order[static_cast<std::size_t>(axis)];
    result.shape.set(axis, view.extent(from));
    result.strides[static_cast<std::size_t>(axis)] = view.stride(from);
  }
  return result;
}

/// The axis that reaches farthest in the file first: two views that are transposed alike are not any more.
Views in_order_of_file(const TensorView& place, const TensorView& to) {
  std::array<int, Shape::kMaxRank> order{};
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.begin() + place.shape.rank(),
                   [&](int a, int b) { return place.stride(a) > place.stride(b); });
  return {with_axes(place, order), with_axes(to, order)};
}

/// The outermost axis from which on elements lie together both in the file and in memory.
int run_axis(const Views& views) {
  if (views.place.dtype != views.to.dtype) return views.to.shape.rank();
  std::int64_t inside = 1;
  int axis = views.to.shape.rank();
  const auto is_dense = [&](int each) {
    return views.to.extent(each) == 1 ||
           (views.place.stride(each) == inside && views.to.stride(each) == inside);
  };
  while (axis > 0 && is_dense(axis - 1)) inside *= views.to.extent(--axis);
  return axis;
}

std::uint64_t run_bytes(const Views& views, int axis) {
  std::uint64_t bytes = size_of(views.to.dtype);
  for (int inner = axis; inner < views.to.shape.rank(); ++inner)
    bytes *= static_cast<std::uint64_t>(views.to.extent(inner));
  return bytes;
}

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

/// How many indices of the axis one read may have; in tiles of copy_elements where there are several.
std::int64_t rows_of_a_read(const TensorView& view, int axis, std::uint64_t most) {
  constexpr std::uint64_t kTile = 32;
  const std::uint64_t a_row = static_cast<std::uint64_t>(view.stride(axis)) * size_of(view.dtype);
  const std::uint64_t rows = std::max<std::uint64_t>(most / std::max<std::uint64_t>(a_row, 1), 1);
  return static_cast<std::int64_t>(rows < kTile ? rows : rows / kTile * kTile);
}

std::uint64_t offset_of(const Views& views) {
  return reinterpret_cast<std::uintptr_t>(views.place.data);
}

void read_through_memory(const File& file, const Views& views) {
  const std::uint64_t bytes = span_bytes(views.place);
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(bytes);
  file.read_at(offset_of(views), {buffer.get(), bytes});
  TensorView read = views.place;
  read.data = buffer.get();
  copy_elements(read, views.to);
}

/// Gives each run of memory its bytes; depth is at most the four axes of a shape.
void read_runs(const File& file, const Views& views, int axis, int inner) {
  if (axis == inner)
    return file.read_at(offset_of(views), {views.to.as<std::byte>(), run_bytes(views, axis)});
  for (std::int64_t i = 0; i < views.to.extent(axis); ++i)
    read_runs(file, views.slice(axis, i, i + 1), axis + 1, inner);
}

void read_at_once(const File& file, const Views& views, bool is_straight) {
  if (!is_straight) return read_through_memory(file, views);
  const int inner = run_axis(views);
  // The kernel would take runs with gaps for scattered reads, and fetch no more from the disk than each.
  if (inner > 0)
    ::posix_fadvise(file.descriptor(), static_cast<off_t>(offset_of(views)),
                    static_cast<off_t>(span_bytes(views.place)), POSIX_FADV_WILLNEED);
  read_runs(file, views, 0, inner);
}

/// Before these bytes are read: the disk fetches what comes some MiB behind them, further
/// ahead than the kernel would of itself.
void ask_ahead(const File& file, std::uint64_t offset, AxisBytes read) {
  const std::uint64_t next = (read.end + kStraightBytes - 1) / kStraightBytes * kStraightBytes;
  const bool is_first = read.begin == 0;
  const std::uint64_t from = is_first ? 0 : next;
  const bool is_new = is_first || (read.begin + kStraightBytes - 1) / kStraightBytes * kStraightBytes != next;
  if (!is_new || from >= read.all) return;
  const std::uint64_t bytes = std::min(next + kStraightBytes, read.all) - from;
  ::posix_fadvise(file.descriptor(), static_cast<off_t>(offset + from), static_cast<off_t>(bytes),
                  POSIX_FADV_WILLNEED);
}

void read_views(const File& file, const Views& views, int threads) {
  const bool is_straight =
      views.place.dtype == views.to.dtype && run_bytes(views, run_axis(views)) >= kRunBytes;
  const std::uint64_t most = is_straight ? kStraightBytes : kExchangedBytes;
  const int axis = widest_axis(views.place);
  if (span_bytes(views.place) <= most || axis < 0) return read_at_once(file, views, is_straight);
  const std::int64_t rows = rows_of_a_read(views.place, axis, most), all = views.place.extent(axis);
  // Where axes overlap, none may be long enough to be divided: the four of them reach a few MiB.
  if (rows >= all) return read_at_once(file, views, is_straight);
  on_threads(static_cast<std::size_t>((all + rows - 1) / rows), threads, [&](std::size_t index) {
    const std::int64_t begin = static_cast<std::int64_t>(index) * rows, end = std::min(begin + rows, all);
    const auto a_row = static_cast<std::uint64_t>(views.place.stride(axis)) * size_of(views.place.dtype);
    ask_ahead(file, offset_of(views),
              {static_cast<std::uint64_t>(begin) * a_row, static_cast<std::uint64_t>(end) * a_row,
               static_cast<std::uint64_t>(all) * a_row});
    read_views(file, views.slice(axis, begin, end), 1);
  });
}

}  // namespace

void read_place(const File& file, const TensorView& place, const TensorView& to, int threads) {
  if (place.count() > 0) read_views(file, in_order_of_file(place, to), threads);
}

}  // namespace caravan::io
