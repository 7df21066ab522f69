#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/convert/flat_file.hpp"
#include "io/meta/zip_layout.hpp"

namespace caravan::io {

/// A file as torch.save writes it. Its checksums are known when its tensors are, so headers and directory are
/// written last.
struct PthArchive {
  FlatFile file;
  ZipLayout layout;
  std::vector<std::string> contents;  ///< of each member; empty: that of the next tensor
};

PthArchive pth_archive(std::string name, std::vector<MadeTensor> tensors);

/// The file's headers and its directory. `crcs`: of the tensors, in order.
std::vector<FlatFile::Text> headers_of(const PthArchive& archive, std::span<const std::uint32_t> crcs);

/// The checksums of the tensors of `archive`, which is file `index` of `blocks`, from those of the blocks.
std::vector<std::uint32_t> crcs_of_tensors(const PthArchive& archive, std::size_t index,
                                           std::span<const FlatBlock> blocks,
                                           std::span<const std::uint32_t> crcs);

}  // namespace caravan::io
