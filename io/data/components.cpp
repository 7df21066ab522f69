#include "io/data/components.hpp"

#include "caravan/plugin.hpp"
#include "io/data/mix_source.hpp"
#include "io/data/safetensors_source.hpp"
#include "io/data/shard_source.hpp"
#include "io/data/text_source.hpp"

namespace caravan::io {

std::span<const caravan_component> data_components() {
  static constexpr caravan_component components[] = {component<ShardSource>(), component<TextSource>(),
                                                     component<SafetensorsSource>(), component<MixSource>()};
  return components;
}

}  // namespace caravan::io
