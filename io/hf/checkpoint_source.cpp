#include "io/hf/checkpoint_source.hpp"

#include <algorithm>
#include <string_view>

namespace caravan::io {

std::vector<std::string> CheckpointSource::names() const {
  static constexpr std::string_view kRoot = "/model/";
  std::vector<std::string> names;
  for (const TensorRecord& tensor : reader_.tensors()) {
    if (tensor.name.starts_with(kRoot)) names.push_back(tensor.name.substr(kRoot.size()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace caravan::io
