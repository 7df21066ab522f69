#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "io/checkpoint/manifest.hpp"
#include "io/checkpoint/value.hpp"
#include "io/files/direct_file.hpp"
#include "io/hdf5/h5_file.hpp"

namespace caravan::io {

/// Names of the datasets of a file that holds several boxes of a tensor, in their order: the first has the
/// tensor's, the others "NAME@1" and so on.
class DatasetNames {
 public:
  /// IoError for a piece that shares elements with an earlier one.
  std::string of(const Piece& piece);

 private:
  std::map<std::string, std::vector<Box>> named_;  ///< so far, by tensor
};

/// One HDF5 file of a checkpoint while it is written. HDF5 makes the structure; elements go as raw bytes to
/// the places that it gave them, which is as fast as the disk and lets their digests be taken on the way.
class DataFile {
 public:
  /// `space` for all that is to come is taken from the disk now: IoError when it is not there, before
  /// anything is written. 0: not checked.
  DataFile(const std::string& folder, std::string name, std::uint64_t space);

  /// "/step" is an attribute of the root group, "/state/next_sample" one of the group /state.
  void attribute(const std::string& name, const CheckpointValue& value);
  /// Room for the piece under the tensor's name (see DatasetNames). The caller fills in the blocks' digests;
  /// valid until the next call.
  PieceRecord& place(const Piece& piece);
  /// A dataset of the piece. `elements`: host memory of the piece's shape, any
  /// strides.
  void piece(const Piece& piece, const TensorView& elements);
  /// A dataset without elements of its own that shows the tensor whole, from boxes that lie in `files` beside
  /// this one. Every element must be in one of them.
  void virtual_tensor(const TensorRecord& tensor, const std::vector<FileRecord>& files);
  /// [once] Closes, synchronises. Until then the file is not to be read.
  FileRecord finish();

 private:
  std::string folder_, path_;
  FileRecord record_;
  DatasetNames names_;
  h5::H5File file_;
  DirectFile raw_;
};

}  // namespace caravan::io
