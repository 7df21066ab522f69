#include "jobs/forward/gradient_file.hpp"

#include <vector>

#include "io/hf/write_tensors.hpp"
#include "io/safetensors/writer.hpp"

namespace caravan::jobs {

void write_gradients(const std::string& path, const ParameterStore& parameters,
                     const std::optional<io::HfStyle>& style) {
  std::vector<io::NamedTensor> tensors;
  for (const auto& parameter : parameters.parameters()) {
    for (std::size_t part = 0; part < parameter->spec().parts.size(); ++part) {
      tensors.push_back({parameter->spec().parts[part].name, parameter->part(parameter->grad, part)});
    }
  }
  io::SafetensorsWriter writer(path);
  io::add_tensors(writer, tensors, style);
  writer.commit();
}

}  // namespace caravan::jobs
