#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "caravan/check.hpp"
#include "io/checkpoint/manifest.hpp"
#include "io/checkpoint/tiling.hpp"

namespace caravan::io {
namespace {

struct Found {
  TensorRecord tensor;
  std::vector<Box> boxes;
};

void check_same(const TensorRecord& a, const TensorRecord& b) {
  CARAVAN_CHECK(a.dtype == b.dtype && a.shape == b.shape, IoError,
                fmt::format("two files disagree about {}: {} {} and {} {}", a.name, name_of(a.dtype),
                            to_string(a.shape), name_of(b.dtype), to_string(b.shape)));
}

}  // namespace

std::vector<Region> regions_of(const FileRecord& file) {
  std::vector<Region> pieces;
  for (const PieceRecord& record : file.pieces) {
    const std::uint64_t bytes = record.piece.bytes();
    if (bytes == 0) continue;
    CARAVAN_CHECK(record.offset <= file.bytes && bytes <= file.bytes - record.offset, IoError,
                  fmt::format("{} ends behind {}, which has {} bytes", record.piece.tensor.name, file.name,
                              file.bytes));
    pieces.push_back({record.offset, record.end(), &record});
  }
  std::sort(pieces.begin(), pieces.end(), [](const Region& a, const Region& b) { return a.begin < b.begin; });
  std::vector<Region> all;
  std::uint64_t next = 0;
  for (const Region& region : pieces) {
    CARAVAN_CHECK(region.begin >= next, IoError,
                  fmt::format("{} overlaps the tensor before it", region.piece->piece.tensor.name));
    if (region.begin > next) all.push_back({next, region.begin, nullptr});
    all.push_back(region);
    next = region.end;
  }
  if (next < file.bytes) all.push_back({next, file.bytes, nullptr});
  return all;
}

std::vector<TensorRecord> tensors_of(const Manifest& manifest) {
  std::map<std::string, Found> by_name;
  std::vector<TensorRecord> tensors;
  for (const FileRecord& file : manifest.files) {
    for (const PieceRecord& record : file.pieces) {
      const Piece& piece = record.piece;
      auto [entry, is_new] = by_name.try_emplace(piece.tensor.name, Found{piece.tensor, {}});
      if (is_new) tensors.push_back(piece.tensor);
      check_same(entry->second.tensor, piece.tensor);
      entry->second.boxes.push_back(piece.box);
    }
  }
  for (auto& [name, found] : by_name) check_tiling(found.tensor, found.boxes);
  return tensors;
}

}  // namespace caravan::io
