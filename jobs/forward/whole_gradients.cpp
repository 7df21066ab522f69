#include "jobs/forward/whole_gradients.hpp"

#include <algorithm>

#include "core/run/host_values.hpp"
#include "io/files/pack.hpp"

namespace caravan::jobs {
namespace {

void copy_elements(const TensorView& from, const TensorView& to) {
  std::vector<std::byte> packed(from.bytes());
  io::pack(from, packed.data());
  auto next = packed.cbegin();
  io::for_each_run(to, [&](std::span<std::byte> run) {
    std::copy_n(next, run.size(), run.data());
    next += static_cast<std::ptrdiff_t>(run.size());
  });
}

}  // namespace

WholeGradients::WholeGradients(Device& device, const ParameterStore& parameters, Mesh& mesh) {
  std::vector<float> room;
  for (const auto& parameter : parameters.parameters()) {
    const TensorView own = on_host(device, parameter->grad, room);
    const ParameterSpec& spec = parameter->spec();
    Communicator& ranks = mesh.group(spec.kind == ParameterKind::expert ? MeshAxis::ep : MeshAxis::tp).host;
    for (std::size_t part = 0; part < spec.parts.size(); ++part) {
      const Shape shape = parameter->part_shape(part);
      std::vector<float>& values = memory_.emplace_back(static_cast<std::size_t>(shape.count()));
      const TensorView whole(values.data(), DType::f32, shape);
      if (parameter->counts(part))
        copy_elements(parameter->part(own, part), block_of(whole, parameter->part_box(part)));
      ranks.all_reduce(whole, ReduceOp::sum);  // every element comes from one rank
      parts_.push_back({spec.parts[part].name, whole});
    }
  }
}

}  // namespace caravan::jobs
