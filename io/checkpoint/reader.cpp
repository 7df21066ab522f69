#include "io/checkpoint/reader.hpp"

#include "caravan/check.hpp"
#include "caravan/config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/read_tensor.hpp"
#include "io/checkpoint/stacked_layers.hpp"
#include "io/checkpoint/stored_tensor.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

std::string folder_of(const std::string& path) {
  CARAVAN_CHECK(fs::exists(path), IoError, fmt::format("{} does not exist", path));
  if (fs::is_directory(path)) return path;
  const auto parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

}  // namespace

struct CheckpointReader::State {
  /// A tensor that is stored for itself, or one layer of a stack.
  struct Place {
    TensorRecord record;
    const StoredTensor* stored = nullptr;
    std::optional<std::int64_t> slot;
  };

  State(const std::string& folder_, Manifest manifest_, Through through)
      : folder(folder_),
        manifest(std::move(manifest_)),
        index(index_of(manifest)),
        blocks(folder, manifest, through) {
    std::map<std::string, Shape> shapes;
    const std::vector<TensorRecord> stored = tensors_of(manifest);
    for (const TensorRecord& tensor : stored) shapes.emplace(tensor.name, tensor.shape);
    std::map<std::string, std::vector<std::pair<std::string, StackedLayer>>> stacks;
    for (auto& [single, layer] : layers_of_stacks(shapes)) stacks[layer.name].emplace_back(single, layer);
    has_stacks = !stacks.empty();
    for (const TensorRecord& tensor : stored) add(tensor, stacks[tensor.name]);
  }

  /// As it is, or as its layers where it is a stack.
  void add(const TensorRecord& tensor, const std::vector<std::pair<std::string, StackedLayer>>& layers) {
    const StoredTensor* stored = &index.find(tensor.name)->second;
    if (layers.empty()) add({tensor, stored, {}});
    for (const auto& [single, layer] : layers)
      add({{single, tensor.dtype, shape_of_layer(tensor.shape, layer)}, stored, layer.slot});
  }
  void add(Place place) {
    tensors.push_back(place.record);
    places.emplace(place.record.name, std::move(place));
  }

  std::string folder;
  Manifest manifest;
  std::map<std::string, StoredTensor, std::less<>> index;  // into the manifest
  std::vector<TensorRecord> tensors;
  std::map<std::string, Place, std::less<>> places;
  bool has_stacks = false;
  BlockReader blocks;
};

CheckpointReader::CheckpointReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
CheckpointReader::~CheckpointReader() = default;
CheckpointReader::CheckpointReader(CheckpointReader&&) noexcept = default;

CheckpointReader CheckpointReader::open(const std::string& path, Check check, Through through) {
  const std::string folder = folder_of(path);
  Manifest manifest = read_manifest(folder);
  verify_files(folder, manifest, check, through);
  return CheckpointReader(std::make_unique<State>(folder, std::move(manifest), through));
}

const std::string& CheckpointReader::folder() const noexcept {
  return state_->folder;
}
std::int64_t CheckpointReader::format() const noexcept {
  return state_->manifest.format;
}
std::int64_t CheckpointReader::step() const noexcept {
  return state_->manifest.step;
}
std::int64_t CheckpointReader::tokens_seen() const noexcept {
  return state_->manifest.tokens_seen;
}
const std::string& CheckpointReader::layout() const noexcept {
  return state_->manifest.layout;
}
const std::string& CheckpointReader::creator() const noexcept {
  return state_->manifest.creator;
}
bool CheckpointReader::has_stacked_layers() const noexcept {
  return state_->has_stacks;
}
const std::vector<TensorRecord>& CheckpointReader::tensors() const noexcept {
  return state_->tensors;
}

const std::string& CheckpointReader::job_yaml() const noexcept {
  return state_->manifest.job;
}

bool CheckpointReader::has(std::string_view name) const noexcept {
  return state_->places.find(name) != state_->places.end();
}

const TensorRecord& CheckpointReader::info(std::string_view name) const {
  const auto found = state_->places.find(name);
  if (found != state_->places.end()) return found->second.record;
  std::vector<std::string> known;
  for (const TensorRecord& tensor : tensors()) known.push_back(tensor.name);
  const std::string nearest = nearest_name(name, known);
  throw IoError(fmt::format("{} has no tensor {}{}", state_->folder, name,
                            nearest.empty() ? "" : fmt::format(". Did you mean {}?", nearest)));
}

void CheckpointReader::read(const std::string& name, const TensorView& to) const {
  const TensorRecord& record = info(name);
  CARAVAN_CHECK(record.shape == to.shape, IoError,
                fmt::format("{} has shape {} in {} ({} was asked for)", name, to_string(record.shape),
                            state_->folder, to_string(to.shape)));
  read_block(name, {}, to);
}

void CheckpointReader::read_block(const std::string& name, const Origin& origin, const TensorView& to,
                                  int threads) const {
  info(name);
  const State::Place& place = state_->places.find(name)->second;
  if (!place.slot) return read_tensor(*place.stored, state_->blocks, origin, to, threads);
  Origin in_stack{*place.slot};
  std::copy(origin.begin(), origin.end() - 1, in_stack.begin() + 1);
  read_tensor(*place.stored, state_->blocks, in_stack, as_layer(to), threads);
}

std::vector<std::string> CheckpointReader::attribute_names() const {
  std::vector<std::string> names;
  for (const auto& [name, value] : state_->manifest.values) names.push_back(name);
  return names;
}

bool CheckpointReader::has_attribute(const std::string& name) const {
  return state_->manifest.values.contains(name);
}

CheckpointValue CheckpointReader::attribute(const std::string& name) const {
  const auto found = state_->manifest.values.find(name);
  CARAVAN_CHECK(found != state_->manifest.values.end(), IoError,
                fmt::format("{} has no value {}", state_->folder, name));
  return found->second;
}

}  // namespace caravan::io
