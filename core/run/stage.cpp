#include "core/run/stage.hpp"

#include "caravan/error.hpp"

namespace caravan {

Stage::Stage(const Host& host, const Model& model)
    : Stage(host, model, {0, static_cast<int>(model.layers().size())}) {}

Stage::Stage(const Host& host, const Model& model, LayerRange range)
    : width_(model.dim()),
      vocab_size_(model.vocab_size()),
      chunk_size_(model.chunk_size()),
      is_first_(range.begin == 0),
      is_last_(range.end == static_cast<int>(model.layers().size())) {
  for (int index = range.begin; index < range.end; ++index) {
    const LayerSpec& spec = model.layers()[static_cast<std::size_t>(index)];
    try {
      owned_.push_back(host.registry->create<Layer>(spec.plugin, host, spec.config));
    } catch (Error& error) {
      error.add_context(spec.plugin + " of " + spec.name);
      throw;
    }
    layers_.push_back(owned_.back().get());
    names_.push_back(spec.name);
    plugins_.push_back(spec.plugin);
  }
}

double Stage::forward_flops(const BatchShape& shape) const {
  double flops = 0;
  for (const Layer* layer : layers_) flops += layer->forward_flops(shape);
  return flops;
}

void Stage::prepare(Device& device, std::int64_t positions) {
  for (Layer* layer : layers_) layer->prepare(device, positions);
}

}  // namespace caravan
