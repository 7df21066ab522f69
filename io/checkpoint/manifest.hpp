#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/tensor.hpp"

namespace caravan::io {

/// One tensor of a checkpoint: what it is, where its elements lie in the file, and their XXH3-64.
struct TensorRecord {
  std::string name;  ///< "/model/norm.weight"
  DType dtype = DType::f32;
  Shape shape;
  std::uint64_t offset = 0, bytes = 0;
  std::string digest;
};

/// One file. `structure` digests every byte that belongs to no tensor, so that damage is found before HDF5
/// parses it.
struct FileRecord {
  std::string name;
  std::uint64_t bytes = 0;
  std::string structure;
  std::vector<TensorRecord> tensors;
};

/// What stands in manifest.json, which is written last: a folder without one is no checkpoint.
struct Manifest {
  std::int64_t step = 0;
  std::int64_t tokens_seen = 0;
  std::string layout;
  std::string creator;
  std::vector<FileRecord> files;
};

/// A stretch of a file: one tensor's elements, or structure when `tensor` is null.
struct Region {
  std::uint64_t begin = 0, end = 0;
  const TensorRecord* tensor = nullptr;
};

/// The whole file in order of offset. IoError when tensors overlap or end behind the file. Borrows from
/// `file`.
std::vector<Region> regions_of(const FileRecord& file);

void write_manifest(const std::string& folder, const Manifest& manifest);

/// IoError when it is missing, damaged (it carries its own digest), malformed, or of a newer format.
Manifest read_manifest(const std::string& folder);

}  // namespace caravan::io
