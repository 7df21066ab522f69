#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/piece.hpp"
#include "io/checkpoint/value.hpp"

namespace caravan::io {

/// Elements are checked in blocks of this size, so that reading a part verifies that part.
inline constexpr std::uint64_t kBlockBytes = std::uint64_t{16} << 20;

/// Steps, tokens and samples that a file may name: above any run's, and far below where their sums overflow.
inline constexpr std::int64_t kMostCount = std::int64_t{1} << 53;

/// `value` of a file, which must be from 0 to kMostCount; IoError naming `what` otherwise.
std::int64_t checked_count(std::int64_t value, std::string_view what);

/// Where a piece lies in its file, and the XXH3-64 of each block of it; the last block may be shorter.
struct PieceRecord {
  Piece piece;
  std::uint64_t offset = 0;
  std::vector<std::uint64_t> blocks;

  std::uint64_t end() const { return offset + piece.bytes(); }
};

/// "bytes 4194304 to 8388608 of the dataset have another digest than the manifest says", of a block.
std::string other_digest(const PieceRecord& record, std::size_t block);

/// One file. `structure` digests every byte that belongs to no piece, so that damage is found before HDF5
/// parses it.
struct FileRecord {
  std::string name;
  std::uint64_t bytes = 0;
  std::uint64_t structure = 0;
  std::vector<PieceRecord> pieces;
};

/// What stands in manifest.json, which is written last: a folder without one is no checkpoint.
struct Manifest {
  std::int64_t format = kCheckpointFormat;  ///< that it was read in
  std::int64_t step = 0;
  std::int64_t tokens_seen = 0;
  std::string layout;
  std::string creator;
  /// Of the run that wrote it, see RunLock; empty for a file that no run wrote.
  std::string generation;
  /// The resolved job and the state's numbers and texts. They are attributes of the first file too, for
  /// people: whoever loads a checkpoint has them from here, and never needs HDF5, which does not survive
  /// forged files.
  std::string job;
  std::map<std::string, CheckpointValue> values;
  /// The first shows every tensor whole.
  std::vector<FileRecord> files;
};

/// Bytes of a file: one piece's elements, or structure when `piece` is null.
struct Region {
  std::uint64_t begin = 0, end = 0;
  const PieceRecord* piece = nullptr;
};

/// The whole file in order of offset. IoError when pieces overlap or end behind the file. Borrows from
/// `file`.
std::vector<Region> regions_of(const FileRecord& file);

/// The tensors of all files in the order of their first piece. IoError when elements of one are missing,
/// stored twice, or pieces disagree about its type or shape.
std::vector<TensorRecord> tensors_of(const Manifest& manifest);

void write_manifest(const std::string& folder, const Manifest& manifest);

/// IoError when it is missing, damaged (it carries its own digest), malformed, or of another format.
Manifest read_manifest(const std::string& folder);

/// One file's record as text, for sending it to the rank that writes the manifest.
std::string to_text(const FileRecord& file);
FileRecord file_record_from(const std::string& text);

}  // namespace caravan::io
