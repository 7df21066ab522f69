#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/checkpoint/manifest.hpp"
#include "io/files/direct_reader.hpp"

namespace caravan::io {

/// `structure`: only what HDF5 itself reads, so that opening is safe and fast. `model`: all but the
/// optimizer's state, which nobody reads who does not train on. `everything`: every byte.
enum class Check { structure, model, everything };

/// A stretch of a file that is not what the manifest says.
struct Damage {
  std::string file;                  ///< its path
  std::string tensor;                ///< "" for the file as a whole and for HDF5's own records
  std::uint64_t begin = 0, end = 0;  ///< bytes of the file, where they are known
  std::string text() const;          ///< a sentence for people
  std::string why;                   ///< "truncated", other_digest()
};

/// Compares the files of a checkpoint with its manifest, one sequential read at the speed of the disk, and
/// lists everything that differs. Does not open the files with HDF5.
std::vector<Damage> find_damage(const std::string& folder, const Manifest& manifest, Check check,
                                Through through);

/// IoError with the first few damages.
void verify_files(const std::string& folder, const Manifest& manifest, Check check, Through through);

/// Digest of every byte of `folder`/`file.name` that belongs to no piece.
std::uint64_t structure_digest(const std::string& folder, const FileRecord& file);

}  // namespace caravan::io
