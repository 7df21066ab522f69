#include "jobs/convert/state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "caravan/check.hpp"

namespace caravan::jobs {
namespace {

constexpr std::string_view kBias = "expert_bias", kRouter = "router.gate.weight";

const io::NamedShape* find(const std::vector<io::NamedShape>& shapes, const std::string& name) {
  const auto found =
      std::find_if(shapes.begin(), shapes.end(), [&](const auto& each) { return each.name == name; });
  return found == shapes.end() ? nullptr : &*found;
}

/// The bias has a value for each row of its router.
io::NamedShape checked_bias(const io::WeightSource& source, const std::string& name,
                            const std::vector<io::NamedShape>& weights) {
  const std::string router = name.substr(0, name.size() - kBias.size()) + std::string(kRouter);
  const io::NamedShape* gate = find(weights, router);
  CARAVAN_CHECK(
      gate && source.has(name), IoError,
      fmt::format("{} does not fit the model; not in the model: {} (no layer has experts to balance "
                  "with it)",
                  source.description(), name));
  const Shape shape = source.shape(name), needed{gate->shape[0]};
  CARAVAN_CHECK(shape == needed, IoError,
                fmt::format("{} does not fit the model; wrong shape: {} is {} instead of {}",
                            source.description(), name, to_string(shape), to_string(needed)));
  return {name, shape};
}

std::vector<float> values_of(const io::WeightSource& source, const io::NamedShape& state) {
  std::vector<float> values(static_cast<std::size_t>(state.shape.count()));
  source.read(state.name, TensorView(values.data(), DType::f32, state.shape));
  return values;
}

}  // namespace

ConvertedState state_of(const io::WeightSource& source, const ParameterStore& model,
                        const std::vector<io::NamedShape>& weights) {
  ConvertedState state;
  for (const auto& buffer : model.buffers())
    if (buffer->role == Buffer::Role::state) state.declared.push_back({buffer->name, buffer->shape});
  for (const std::string& name : source.expert_biases()) {
    const io::NamedShape bias = checked_bias(source, name, weights);
    if (!find(state.declared, name)) state.spare.push_back(bias);
  }
  return state;
}

std::vector<std::string> names_in_use(const io::WeightSource& source,
                                      const std::vector<io::NamedShape>& state) {
  std::vector<std::string> names;
  for (const io::NamedShape& each : state) {
    if (!source.has(each.name)) continue;
    const auto values = values_of(source, each);
    if (std::any_of(values.begin(), values.end(), [](float value) { return value != 0; }))
      names.push_back(each.name);
  }
  return names;
}

}  // namespace caravan::jobs
