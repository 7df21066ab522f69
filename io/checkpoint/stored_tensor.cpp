#include "io/checkpoint/stored_tensor.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"

namespace caravan::io {
namespace {

/// Elements of one index of axis `axis`.
std::int64_t elements_below(const Shape& shape, int axis) {
  std::int64_t count = 1;
  for (int inner = axis + 1; inner < shape.rank(); ++inner) count *= shape[inner];
  return count;
}

/// The outermost axis from which on a block is one stretch of elements.
int run_axis(const Shape& whole, const Shape& block) {
  int axis = whole.rank() - 1;
  while (axis > 0 && block[axis] == whole[axis]) --axis;
  return std::max(axis, 0);
}

}  // namespace

void StoredTensor::add(const FileRecord& file, const PieceRecord& record) {
  const Piece& piece = record.piece;
  if (piece.bytes() == 0) return;  // nobody reads it, and its other extents may overflow
  const std::int64_t row = elements_below(piece.tensor.shape, 0);
  sources_.push_back({piece.row * row, (piece.row + piece.rows) * row, &file, &record});
}

void StoredTensor::sort() {
  std::sort(sources_.begin(), sources_.end(),
            [](const Source& a, const Source& b) { return a.first < b.first; });
}

void StoredTensor::check_inside(const Origin& origin, const TensorView& to) const {
  const Shape& whole = tensor_.shape;
  CARAVAN_CHECK(
      to.shape.rank() == whole.rank(), IoError,
      fmt::format("{} has shape {} ({} was asked for)", tensor_.name, to_string(whole), to_string(to.shape)));
  for (int axis = 0; axis < whole.rank(); ++axis) {
    const std::int64_t begin = origin[static_cast<std::size_t>(axis)], extent = to.extent(axis);
    CARAVAN_CHECK(begin >= 0 && extent <= whole[axis] && begin <= whole[axis] - extent, IoError,
                  fmt::format("{} has shape {} (axis {} cannot give {} elements from {})", tensor_.name,
                              to_string(whole), axis, extent, begin));
  }
}

void StoredTensor::read_run(BlockReader& reader, std::int64_t first, std::int64_t count,
                            std::byte* to) const {
  const auto size = static_cast<std::int64_t>(size_of(tensor_.dtype));
  auto source = std::upper_bound(sources_.begin(), sources_.end(), first,
                                 [](std::int64_t at, const Source& s) { return at < s.behind; });
  while (count > 0) {
    const std::int64_t part = std::min(count, source->behind - first);
    reader.read(*source->file, *source->piece, static_cast<std::uint64_t>((first - source->first) * size),
                {to, static_cast<std::size_t>(part * size)});
    first += part;
    count -= part;
    to += part * size;
    ++source;
  }
}

void StoredTensor::read(BlockReader& reader, const Origin& origin, const TensorView& to) const {
  check_inside(origin, to);
  if (to.count() == 0) return;
  const Shape& whole = tensor_.shape;
  if (whole.rank() == 0) return read_run(reader, 0, 1, to.as<std::byte>());
  const int axis = run_axis(whole, to.shape);
  const std::int64_t run = to.extent(axis) * elements_below(whole, axis), runs = to.count() / run;
  const auto run_bytes = static_cast<std::size_t>(run) * size_of(tensor_.dtype);
  for (std::int64_t index = 0; index < runs; ++index) {
    std::int64_t first = origin[static_cast<std::size_t>(axis)] * elements_below(whole, axis), rest = index;
    for (int outer = axis - 1; outer >= 0; --outer) {
      const std::int64_t at = origin[static_cast<std::size_t>(outer)] + rest % to.extent(outer);
      first += at * elements_below(whole, outer);
      rest /= to.extent(outer);
    }
    read_run(reader, first, run, to.as<std::byte>() + static_cast<std::size_t>(index) * run_bytes);
  }
}

std::map<std::string, StoredTensor, std::less<>> index_of(const Manifest& manifest) {
  std::map<std::string, StoredTensor, std::less<>> index;
  for (TensorRecord& tensor : tensors_of(manifest)) {
    const std::string name = tensor.name;
    index.emplace(name, StoredTensor(std::move(tensor)));
  }
  for (const FileRecord& file : manifest.files) {
    for (const PieceRecord& piece : file.pieces) index.find(piece.piece.tensor.name)->second.add(file, piece);
  }
  for (auto& [name, tensor] : index) tensor.sort();
  return index;
}

}  // namespace caravan::io
