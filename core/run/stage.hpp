#pragma once

#include <memory>
#include <string>
#include <vector>

#include "caravan/layer.hpp"
#include "caravan/model.hpp"
#include "caravan/registry.hpp"
#include "core/plan/split.hpp"

namespace caravan {

/// Consecutive layers of a model, made from their plugins. Declares parameters, allocates nothing.
class Stage {
 public:
  /// The whole model. host.registry and host.parameters must be set.
  Stage(const Host& host, const Model& model);
  Stage(const Host& host, const Model& model, LayerRange range);

  /// It starts with the model's first layer: its input are tokens.
  bool is_first() const noexcept { return is_first_; }
  /// It ends with the model's last layer: its output is the loss.
  bool is_last() const noexcept { return is_last_; }

  const std::vector<Layer*>& layers() const noexcept { return layers_; }
  const std::vector<std::string>& names() const noexcept { return names_; }  ///< of the layers
  const std::string& name(std::size_t layer) const { return names_[layer]; }
  const std::string& plugin(std::size_t layer) const { return plugins_[layer]; }  ///< that made it
  std::int64_t width() const noexcept { return width_; }
  std::int64_t vocab_size() const noexcept { return vocab_size_; }
  std::int64_t chunk_size() const noexcept { return chunk_size_; }
  double forward_flops(const BatchShape& shape) const;
  /// After the store has been allocated: constants such as rotation tables.
  void prepare(Device& device, std::int64_t positions);

 private:
  std::vector<Made<Layer>> owned_;
  std::vector<Layer*> layers_;
  std::vector<std::string> names_, plugins_;
  std::int64_t width_, vocab_size_, chunk_size_;
  bool is_first_, is_last_;
};

}  // namespace caravan
