#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/convert/flat_file.hpp"

namespace caravan::io {

/// Tensors as the files of a Hugging Face folder.
struct HfShards {
  std::vector<FlatFile> files;  ///< model.safetensors, or model-00001-of-00002.safetensors and so on
  std::string index;            ///< the text of model.safetensors.index.json; empty for one file
};

/// Tensors go into a shard in their order as long as it stays within `most` bytes of elements; a larger
/// tensor has one for itself.
HfShards hf_shards(std::vector<MadeTensor> tensors, std::uint64_t most);

}  // namespace caravan::io
