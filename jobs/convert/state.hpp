#pragma once

#include <string>
#include <vector>

#include "caravan/parameter.hpp"
#include "io/hf/weight_source.hpp"

namespace caravan::jobs {

/// What a conversion keeps beside weights.
struct ConvertedState {
  std::vector<io::NamedShape> declared;  ///< by the model, in the source or not
  std::vector<io::NamedShape> spare;     ///< expert biases of the source that the model's keys do not declare
};

/// IoError for a bias of another shape, or of no layer with experts.
ConvertedState state_of(const io::WeightSource& source, const ParameterStore& model,
                        const std::vector<io::NamedShape>& weights);

/// The names of those that the source has and that are not zero throughout.
std::vector<std::string> names_in_use(const io::WeightSource& source,
                                      const std::vector<io::NamedShape>& state);

}  // namespace caravan::jobs
