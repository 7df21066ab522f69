#include "jobs/state/weight_loader.hpp"

#include <algorithm>

#include "io/files/on_threads.hpp"

namespace caravan::jobs {
namespace {

/// Elements of a piece of the fragment, of at most `most`; whole rows of its parameter where they are not
/// longer.
std::int64_t piece_elements(const Fragment& fragment, std::int64_t most) {
  const Shape& shape = fragment.parameter->shape();
  const std::int64_t row = shape.rank() > 0 && shape[0] > 0 ? shape.count() / shape[0] : 1;
  return row > 0 && row <= most ? most / row * row : most;
}

/// The elements [begin, end) of the fragment as one of their own, without gradients.
Fragment piece_of(const Fragment& fragment, std::int64_t begin, std::int64_t end) {
  const auto part_of = [&](const TensorView& view) {
    return view.empty() ? view : view.slice(0, begin, end);
  };
  return {fragment.parameter,
          fragment.begin + begin,
          fragment.begin + end,
          part_of(fragment.weight),
          part_of(fragment.master),
          {},
          {}};
}

}  // namespace

WeightLoader::WeightLoader(Device& device, ParameterStore& store, std::size_t piece_bytes)
    : device_(device), store_(store), piece_bytes_(piece_bytes), threads_(io::threads_for_bytes()) {}

std::span<std::byte> WeightLoader::room() {
  if (device_.memory() == Memory::host) return {};
  if (!room_) room_.emplace(device_, piece_bytes_);
  return room_->pages.bytes();
}

void WeightLoader::load(const Fragment& fragment, const TypeOf& type_of, const ReadPart& read) {
  const DType compute = store_.compute();
  const auto& parts = fragment.parameter->spec().parts;
  const bool is_as_stored = std::all_of(parts.begin(), parts.end(),
                                        [&](const auto& part) { return type_of(part.name) == compute; });
  const std::int64_t step =
      piece_elements(fragment, static_cast<std::int64_t>(piece_bytes_ / size_of(compute)));
  for (std::int64_t begin = 0; begin < fragment.count(); begin += step)
    load_piece(piece_of(fragment, begin, std::min(begin + step, fragment.count())), is_as_stored, read);
}

void WeightLoader::load_piece(const Fragment& piece, bool is_as_stored, const ReadPart& read) {
  const auto fill = [&](const TensorView& values) {
    const auto parts = parts_of(piece, values);
    const int others = std::max(threads_ / std::max(static_cast<int>(parts.size()), 1), 1);
    io::on_threads(parts.size(), threads_, [&](std::size_t index) {
      const PartOfFragment& each = parts[index];
      read(piece.parameter->spec().parts[each.part].name, each.box, each.view, others);
    });
  };
  if (store_.compute() == DType::f32 || !piece.master.empty() || !is_as_stored)
    return store_.set(piece, fill);
  store_.set_weight(piece, fill, room());
}

}  // namespace caravan::jobs
