#include "io/hf/checkpoint_source.hpp"

#include <algorithm>

namespace caravan::io {

std::vector<std::string> CheckpointSource::names_below(const std::string& root) const {
  std::vector<std::string> names;
  for (const TensorRecord& tensor : reader_.tensors()) {
    if (tensor.name.starts_with(root)) names.push_back(tensor.name.substr(root.size()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace caravan::io
