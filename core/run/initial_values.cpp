#include <algorithm>

#include "caravan/parameter.hpp"
#include "caravan/random.hpp"

namespace caravan {
namespace {

float draw(const Initial& rule, RandomKey key, std::uint64_t index) {
  switch (rule.rule) {
    case Initial::Rule::zeros: return 0.0f;
    case Initial::Rule::ones: return 1.0f;
    case Initial::Rule::normal: break;
  }
  const float value = rule.std * normal(key, 0, index);
  return rule.bound > 0 ? std::clamp(value, -rule.bound, rule.bound) : value;
}

/// Elements are numbered row-major within the part, whatever the part's place in memory.
void fill_part(const TensorView& part, const Initial& rule, RandomKey key) {
  const int rank = part.shape.rank();
  const std::int64_t columns = part.extent(rank - 1), rows = part.count() / std::max<std::int64_t>(columns, 1);
  std::uint64_t index = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    std::int64_t offset = 0, rest = row;
    for (int axis = rank - 2; axis >= 0; --axis) {
      offset += rest % part.extent(axis) * part.stride(axis);
      rest /= part.extent(axis);
    }
    for (std::int64_t column = 0; column < columns; ++column) {
      part.as<float>()[offset + column] = draw(rule, key, index++);
    }
  }
}

}  // namespace

// Host memory only: a device with memory of its own initialises a host copy and uploads it.
void ParameterStore::initialise(std::uint64_t seed) {
  for (const auto& parameter : parameters_) {
    for (std::size_t index = 0; index < parameter->spec().parts.size(); ++index) {
      const ParameterPart& part = parameter->spec().parts[index];
      fill_part(parameter->part(parameter->master, index), part.initial, RandomKey{seed, hash_name(part.name)});
    }
  }
}

}  // namespace caravan
