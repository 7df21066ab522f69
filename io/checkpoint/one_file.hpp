#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "io/checkpoint/sharded.hpp"
#include "io/files/direct_file.hpp"

namespace caravan::io {

/// All writers fill one checkpoint.h5: it is made with a place for every tensor, and each writer puts its
/// rows there as raw bytes. That needs neither a parallel HDF5 nor calls that ranks must make together, so it
/// goes on beside training; the ranks' file system must let several processes write one file.

/// What a writer will store: its pieces without places, with digests of 0.
FileRecord outline_of(const std::vector<Piece>& pieces);

/// [one rank, first] Makes the file with a place for every row of `tensors`, and takes the disk's space for
/// it: IoError when that is not there. The record has every tensor whole, with digests of 0.
FileRecord prepare_file(const std::string& folder, const CheckpointHead& head,
                        const std::vector<TensorRecord>& tensors);

/// [any rank, beside the others] Puts the pieces into their places in the prepared file; on the disk when it
/// returns. The record has these pieces.
FileRecord fill_file(const std::string& folder, const FileRecord& prepared, const std::vector<Piece>& pieces,
                     const PieceSource& elements);

/// A prepared file that pieces are put into. Any threads at once.
class PreparedFile {
 public:
  PreparedFile(const std::string& folder, const FileRecord& prepared);
  /// Writes the piece to its place. elements: host memory of its shape, any strides. What was written: the
  /// runs of the piece that lie together.
  std::vector<PieceRecord> put(const Piece& piece, const TensorView& elements);
  /// What was put is on the disk.
  void sync() const { raw_.sync(); }
  /// Of these pieces.
  FileRecord record(std::vector<PieceRecord> pieces) const;

 private:
  FileRecord outline_;  ///< without pieces
  std::map<std::string, std::uint64_t> places_;
  DirectFile raw_;
};

/// [one rank, last] The file with the pieces of all parts; IoError when rows are missing.
FileRecord join(FileRecord prepared, const std::vector<FileRecord>& parts);

}  // namespace caravan::io
