#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/hf/json_fields.hpp"

namespace caravan::io {

/// Which layers of a Llama4TextConfig are of which kind; ascending.
struct LayerKinds {
  std::vector<std::int64_t> without_rope;
  std::vector<std::int64_t> chunked;
  std::vector<std::int64_t> experts;
  std::int64_t chunk_size = 0;     ///< 0: no layer has chunks
  bool chunks_follow_rope = true;  ///< chunked are the layers that without_rope does not name, or none
};

/// Two keys that disagree give what transformers 5 makes of them, and a sentence in `warnings` that names
/// both. IoError for what transformers refuses.
LayerKinds read_layer_kinds(const JsonFields& fields, std::int64_t layers,
                            std::vector<std::string>& warnings);

}  // namespace caravan::io
