#include "io/convert/shards.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <utility>

namespace caravan::io {
namespace {

std::vector<std::vector<MadeTensor>> split(std::vector<MadeTensor> tensors, std::uint64_t most) {
  std::vector<std::vector<MadeTensor>> shards;
  std::uint64_t bytes = 0;
  for (MadeTensor& tensor : tensors) {
    const std::uint64_t more = tensor.bytes();
    const bool fits = !shards.empty() && bytes <= most && more <= most - bytes;
    if (!fits) {
      shards.emplace_back();
      bytes = 0;
    }
    bytes += more;
    shards.back().push_back(std::move(tensor));
  }
  return shards;
}

std::string index_of(const std::vector<FlatFile>& files) {
  std::uint64_t bytes = 0;
  std::int64_t count = 0;
  nlohmann::json map = nlohmann::json::object();
  for (const FlatFile& file : files) {
    for (const FlatFile::Placed& placed : file.tensors) {
      bytes += placed.tensor.bytes();
      count += placed.tensor.shape.count();
      map[placed.tensor.name] = file.name;
    }
  }
  const nlohmann::json index{{"metadata", {{"total_parameters", count}, {"total_size", bytes}}},
                             {"weight_map", map}};
  return index.dump(2) + "\n";
}

}  // namespace

HfShards hf_shards(std::vector<MadeTensor> tensors, std::uint64_t most) {
  auto split_tensors = split(std::move(tensors), most);
  HfShards shards;
  for (std::size_t i = 0; i < split_tensors.size(); ++i) {
    std::string name = split_tensors.size() == 1
                           ? "model.safetensors"
                           : fmt::format("model-{:05d}-of-{:05d}.safetensors", i + 1, split_tensors.size());
    shards.files.push_back(safetensors_file(std::move(name), std::move(split_tensors[i])));
  }
  if (shards.files.size() > 1) shards.index = index_of(shards.files);
  return shards;
}

}  // namespace caravan::io
