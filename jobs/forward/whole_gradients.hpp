#pragma once

#include <deque>
#include <string>
#include <vector>

#include "caravan/mesh.hpp"
#include "caravan/parameter.hpp"

namespace caravan::jobs {

/// Gradients of whole parts, f32 in host memory, in the order in which a model declares them.
class WholeGradients {
 public:
  /// [collective over the tensor and expert ranks] Puts the slices of all ranks together.
  WholeGradients(Device& device, const ParameterStore& parameters, Mesh& mesh);
  struct Part {
    std::string name;
    TensorView values;
  };
  const std::vector<Part>& parts() const noexcept { return parts_; }

 private:
  std::deque<std::vector<float>> memory_;
  std::vector<Part> parts_;
};

}  // namespace caravan::jobs
