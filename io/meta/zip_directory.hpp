#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/files/file.hpp"

namespace caravan::io {

/// A file inside a zip archive: its bytes lie there as they are.
struct ZipEntry {
  std::string name;
  std::uint64_t begin = 0, bytes = 0;  ///< in the archive
};

/// What the directory at the end of an archive lists, zip64 included. IoError for what is no archive,
/// compressed, encrypted, outside of the file, over another entry, named twice, or called otherwise where it
/// lies. Checksums are not compared.
std::vector<ZipEntry> read_zip_directory(const File& file);

}  // namespace caravan::io
