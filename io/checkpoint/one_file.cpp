#include "io/checkpoint/one_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <utility>

#include "caravan/check.hpp"
#include "io/checkpoint/data_file.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/space.hpp"
#include "io/checkpoint/write_blocks.hpp"

namespace caravan::io {
namespace {

std::vector<std::uint64_t> no_digests(const Piece& piece) {
  return std::vector<std::uint64_t>((piece.bytes() + kBlockBytes - 1) / kBlockBytes);
}

std::map<std::string, std::uint64_t> places_of(const FileRecord& prepared) {
  std::map<std::string, std::uint64_t> places;
  for (const PieceRecord& whole : prepared.pieces) places[whole.piece.tensor.name] = whole.offset;
  return places;
}

/// Bytes of the whole tensor before its first element in `box`.
std::uint64_t bytes_before(const TensorRecord& tensor, const Box& box) {
  Box first = box;
  for (int axis = 0; axis < box.extents.rank(); ++axis) first.extents.set(axis, 1);
  const std::int64_t element = CommonRuns(Box::whole(tensor.shape), first).place(0).in_a;
  return static_cast<std::uint64_t>(element) * size_of(tensor.dtype);
}

}  // namespace

FileRecord outline_of(const std::vector<Piece>& pieces) {
  FileRecord outline{kCheckpointFile, 0, 0, {}};
  for (const Piece& piece : pieces) outline.pieces.push_back({piece, 0, no_digests(piece)});
  return outline;
}

FileRecord prepare_file(const std::string& folder, const CheckpointHead& head,
                        const std::vector<TensorRecord>& tensors) {
  std::vector<Piece> pieces;
  for (const TensorRecord& tensor : tensors) pieces.push_back(Piece::whole(tensor));
  DataFile file(folder, kCheckpointFile, space_for(pieces));
  describe(file, head);
  for (const Piece& piece : pieces) file.place(piece).blocks = no_digests(piece);
  return file.finish();
}

PreparedFile::PreparedFile(const std::string& folder, const FileRecord& prepared)
    : outline_{prepared.name, prepared.bytes, prepared.structure, {}},
      places_(places_of(prepared)),
      raw_((std::filesystem::path(folder) / prepared.name).string()) {}

std::vector<PieceRecord> PreparedFile::put(const Piece& piece, const TensorView& elements) {
  std::vector<PieceRecord> records;
  for (const Box& run : runs_of(piece)) {
    const std::uint64_t offset = places_.at(piece.tensor.name) + bytes_before(piece.tensor, run);
    const TensorView part_of_it = block_of(elements, moved(run, piece.box.origin));
    records.push_back({{piece.tensor, run}, offset, write_blocks(raw_, offset, part_of_it)});
  }
  return records;
}

FileRecord PreparedFile::record(std::vector<PieceRecord> pieces) const {
  FileRecord record = outline_;
  record.pieces = std::move(pieces);
  return record;
}

FileRecord fill_file(const std::string& folder, const FileRecord& prepared, const std::vector<Piece>& pieces,
                     const PieceSource& elements) {
  PreparedFile file(folder, prepared);
  std::vector<PieceRecord> records;
  for (std::size_t index = 0; index < pieces.size(); ++index) {
    auto put = file.put(pieces[index], elements(index));
    std::move(put.begin(), put.end(), std::back_inserter(records));
  }
  file.sync();
  return file.record(std::move(records));
}

FileRecord join(FileRecord prepared, const std::vector<FileRecord>& parts) {
  Manifest manifest;
  manifest.files.push_back(std::move(prepared));
  FileRecord& whole = manifest.files.front();
  const std::size_t places = whole.pieces.size();
  whole.pieces.clear();
  for (const FileRecord& part : parts)
    whole.pieces.insert(whole.pieces.end(), part.pieces.begin(), part.pieces.end());
  const std::size_t written = tensors_of(manifest).size();  // refuses missing elements
  CARAVAN_CHECK(
      written == places, IoError,
      fmt::format("{} has places for {} tensors, of which the ranks wrote {}", whole.name, places, written));
  return whole;
}

}  // namespace caravan::io
