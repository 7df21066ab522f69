#include "jobs/setup/weights.hpp"

#include <algorithm>

#include "io/safetensors/set.hpp"

namespace caravan::jobs {

void load_weights_from(const std::string& path, ParameterStore& parameters) {
  const io::SafetensorsSet source(path);
  for (const auto& parameter : parameters.parameters()) {
    for (std::size_t index = 0; index < parameter->spec().parts.size(); ++index) {
      const std::string& name = parameter->spec().parts[index].name;
      const auto values = source.file_of(name).read_as_f32(name);
      TensorView part = parameter->part(parameter->master, index);
      // temporary until io/hf arrives: contiguous parts only
      const std::int64_t rows = part.shape.rank() == 3 ? part.extent(0) : 1;
      const std::int64_t block = part.count() / rows;
      for (std::int64_t row = 0; row < rows; ++row)
        std::copy_n(values.data() + row * block, block, part.as<float>() + row * (rows > 1 ? part.stride(0) : 0));
    }
  }
}

}  // namespace caravan::jobs
