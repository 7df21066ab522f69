#pragma once

#include <memory>
#include <string>
#include <vector>

#include "caravan/layer.hpp"
#include "caravan/model.hpp"
#include "caravan/registry.hpp"

namespace caravan {

/// The layers of a model that this rank holds, made from their plugins. Declares parameters, allocates
/// nothing.
class Stage {
 public:
  /// host.registry and host.parameters must be set.
  Stage(const Host& host, const Model& model);

  const std::vector<Layer*>& layers() const noexcept { return layers_; }
  const std::string& name(std::size_t layer) const { return names_[layer]; }
  std::int64_t width() const noexcept { return width_; }
  std::int64_t vocab_size() const noexcept { return vocab_size_; }
  std::int64_t chunk_size() const noexcept { return chunk_size_; }
  double forward_flops(const BatchShape& shape) const;
  /// After the store has been allocated: constants such as rotation tables.
  void prepare(Device& device, std::int64_t positions);

 private:
  std::vector<Made<Layer>> owned_;
  std::vector<Layer*> layers_;
  std::vector<std::string> names_;
  std::int64_t width_, vocab_size_, chunk_size_;
};

}  // namespace caravan
