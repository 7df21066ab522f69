#include "io/checkpoint/stored_tensor.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"

namespace caravan::io {

void StoredTensor::add(const FileRecord& file, const PieceRecord& record) {
  if (record.piece.bytes() == 0) return;  // nobody reads it, and its other extents may overflow
  sources_.push_back({&file, &record});
}

void StoredTensor::sort() {
  std::sort(sources_.begin(), sources_.end(), [](const Source& a, const Source& b) {
    return a.piece->piece.box.origin < b.piece->piece.box.origin;
  });
}

void StoredTensor::check_inside(const Box& wanted) const {
  CARAVAN_CHECK(is_inside(wanted, tensor_.shape), IoError,
                fmt::format("{} has shape {} ({} was asked for)", tensor_.name, to_string(tensor_.shape),
                            to_string(wanted)));
}

void StoredTensor::read_common(BlockReader& reader, const Source& source, const Box& wanted,
                               std::byte* to) const {
  const auto size = static_cast<std::int64_t>(size_of(tensor_.dtype));
  const auto read_run = [&](std::int64_t in_file, std::int64_t in_wanted, std::int64_t count) {
    reader.read(*source.file, *source.piece, static_cast<std::uint64_t>(in_file * size),
                {to + in_wanted * size, static_cast<std::size_t>(count * size)});
  };
  for_each_common_run(source.piece->piece.box, wanted, read_run);
}

void StoredTensor::read(BlockReader& reader, const Origin& origin, const TensorView& to) const {
  const Box wanted{origin, to.shape};
  check_inside(wanted);
  if (to.count() == 0) return;
  for (const Source& source : sources_) read_common(reader, source, wanted, to.as<std::byte>());
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
