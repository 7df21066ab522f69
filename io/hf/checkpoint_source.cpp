#include "io/hf/checkpoint_source.hpp"

#include <algorithm>
#include <utility>

namespace caravan::io {

std::vector<std::string> CheckpointSource::names_below(const std::string& root) const {
  std::vector<std::string> names;
  for (const TensorRecord& tensor : reader_.tensors()) {
    if (tensor.name.starts_with(root)) names.push_back(tensor.name.substr(root.size()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> CheckpointSource::expert_biases() const {
  std::vector<std::string> biases = WeightSource::expert_biases();
  for (std::string& name : names_below(kState))
    if (name.ends_with(".expert_bias")) biases.push_back(std::move(name));
  return biases;
}

}  // namespace caravan::io
