#pragma once

#include <string>

#include "io/checkpoint/manifest.hpp"

namespace caravan::io {

/// `structure`: only what HDF5 itself reads, so that opening is safe and fast. `everything`: every byte.
enum class Check { structure, everything };

/// Compares the files of a checkpoint with its manifest. One sequential read at the speed of the disk.
/// IoError naming the file, and the first damaged tensors. Does not open the files with HDF5.
void verify_files(const std::string& folder, const Manifest& manifest, Check check);

/// Digest of every byte of `folder`/`file.name` that belongs to no tensor.
std::string structure_digest(const std::string& folder, const FileRecord& file);

}  // namespace caravan::io
