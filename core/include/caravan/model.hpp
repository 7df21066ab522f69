#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/config.hpp"

namespace caravan {

/// One layer of a model: which plugin makes it, its name in the global parameter names, and its parameters.
struct LayerSpec {
  std::string plugin;  ///< "attention"
  std::string name;    ///< "layers.3"
  Config config;       ///< validated when the layer is made
};

/// An architecture: a list of layers from tokens to loss. Plugin kind "model". Makes nothing and allocates
/// nothing.
class Model {
 public:
  static constexpr const char* kKind = "model";
  static constexpr std::uint32_t kKindVersion = 1;
  virtual ~Model() = default;
  virtual const std::vector<LayerSpec>& layers() const = 0;
  virtual std::int64_t vocab_size() const = 0;
  virtual std::int64_t dim() const = 0;  ///< H: width between layers
  /// Decoding in pieces must not cross multiples of this many positions; 0: no limit.
  virtual std::int64_t chunk_size() const = 0;
};

}  // namespace caravan
