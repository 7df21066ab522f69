#include "jobs/forward/gradient_file.hpp"

#include <vector>

#include "io/hf/write_tensors.hpp"
#include "io/safetensors/writer.hpp"

namespace caravan::jobs {

void write_gradients(const std::string& path, const WholeGradients& gradients,
                     const std::optional<io::HfStyle>& style) {
  std::vector<io::NamedTensor> tensors;
  for (const WholeGradients::Part& part : gradients.parts()) tensors.push_back({part.name, part.values});
  io::SafetensorsWriter writer(path);
  io::add_tensors(writer, tensors, style);
  writer.commit();
}

}  // namespace caravan::jobs
