#include "jobs/forward/gradient_file.hpp"

#include <vector>

#include "core/run/host_values.hpp"
#include "io/hf/write_tensors.hpp"
#include "io/safetensors/writer.hpp"

namespace caravan::jobs {

void write_gradients(const std::string& path, Device& device, const ParameterStore& parameters,
                     const std::optional<io::HfStyle>& style) {
  std::vector<io::NamedTensor> tensors;
  std::vector<std::vector<float>> rooms(parameters.parameters().size());
  for (std::size_t index = 0; index < rooms.size(); ++index) {
    const Parameter& parameter = *parameters.parameters()[index];
    const TensorView gradient = on_host(device, parameter.grad, rooms[index]);
    for (std::size_t part = 0; part < parameter.spec().parts.size(); ++part)
      tensors.push_back({parameter.spec().parts[part].name, parameter.part(gradient, part)});
  }
  io::SafetensorsWriter writer(path);
  io::add_tensors(writer, tensors, style);
  writer.commit();
}

}  // namespace caravan::jobs
