#include "io/checkpoint/reader.hpp"

#include "caravan/check.hpp"
#include "caravan/config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "io/checkpoint/layout.hpp"
#include "io/files/convert.hpp"
#include "io/files/pack.hpp"
#include "io/hdf5/attribute.hpp"
#include "io/hdf5/dataset.hpp"
#include "io/hdf5/walk.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

std::string folder_of(const std::string& path) {
  CARAVAN_CHECK(fs::exists(path), IoError, fmt::format("{} does not exist", path));
  if (fs::is_directory(path)) return path;
  const auto parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

/// Reads rows through a buffer where the target's strides or type differ from the file's.
void read_through(const h5::Dataset& dataset, const h5::Origin& origin, const TensorView& to) {
  const std::int64_t rows = rows_a_piece(to);
  std::vector<std::byte> buffer;
  for (std::int64_t first = 0; first < to.extent(0); first += rows) {
    const TensorView part = to.rows(first, std::min(first + rows, to.extent(0)));
    buffer.resize(static_cast<std::size_t>(part.count()) * size_of(dataset.dtype()));
    const TensorView piece(buffer.data(), dataset.dtype(), part.shape);
    h5::Origin from = origin;
    from[0] += first;
    dataset.read(from, piece);
    copy_to_f32(piece, part);
  }
}

void read_dataset(const h5::Dataset& dataset, const h5::Origin& origin, const TensorView& to) {
  if (to.dtype == dataset.dtype() && to.contiguous()) return dataset.read(origin, to);
  CARAVAN_CHECK(
      to.dtype == DType::f32, IoError,
      fmt::format("{} is stored as {} ({} was asked for{})", dataset.name(), name_of(dataset.dtype()),
                  name_of(to.dtype), to.contiguous() ? "" : ", with strides"));
  if (to.shape.rank() > 0) return read_through(dataset, origin, to);
  TensorView row = to;
  row.shape = Shape{1};
  std::array<std::byte, sizeof(double)> element{};
  dataset.read(origin, TensorView(element.data(), dataset.dtype(), {}));
  copy_to_f32(TensorView(element.data(), dataset.dtype(), {1}), row);
}

}  // namespace

struct CheckpointReader::State {
  std::string folder;
  Manifest manifest;
  h5::H5File file;
  std::map<std::string, const TensorRecord*, std::less<>> index;

  const std::vector<TensorRecord>& tensors() const { return manifest.files.front().tensors; }
};

CheckpointReader::CheckpointReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
CheckpointReader::~CheckpointReader() = default;
CheckpointReader::CheckpointReader(CheckpointReader&&) noexcept = default;

CheckpointReader CheckpointReader::open(const std::string& path, Check check) {
  const std::string folder = folder_of(path);
  Manifest manifest = read_manifest(folder);
  verify_files(folder, manifest, check);
  const std::string data = (fs::path(folder) / manifest.files.front().name).string();
  auto state =
      std::make_unique<State>(State{folder, std::move(manifest), h5::H5File::open_to_read(data), {}});
  for (const TensorRecord& tensor : state->tensors()) state->index.emplace(tensor.name, &tensor);
  return CheckpointReader(std::move(state));
}

const std::string& CheckpointReader::folder() const noexcept {
  return state_->folder;
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
const std::vector<TensorRecord>& CheckpointReader::tensors() const noexcept {
  return state_->tensors();
}

std::string CheckpointReader::job_yaml() const {
  const auto value = h5::read_attribute(state_->file, "/", "job");
  const auto* text = std::get_if<std::string>(&value);
  CARAVAN_CHECK(text, IoError, fmt::format("{} holds no job as text", state_->folder));
  return *text;
}

bool CheckpointReader::has(std::string_view name) const noexcept {
  return state_->index.find(name) != state_->index.end();
}

const TensorRecord& CheckpointReader::info(std::string_view name) const {
  const auto found = state_->index.find(name);
  if (found != state_->index.end()) return *found->second;
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

void CheckpointReader::read_block(const std::string& name, const h5::Origin& origin,
                                  const TensorView& to) const {
  info(name);
  read_dataset(h5::Dataset::open(state_->file, name), origin, to);
}

std::vector<std::string> CheckpointReader::attribute_names() const {
  std::vector<std::string> names;
  for (const h5::Node& node : h5::walk(state_->file)) {
    if (node.kind != h5::Node::Kind::group) continue;
    for (const std::string& name : h5::attribute_names(state_->file, node.path))
      names.push_back(node.path + "/" + name);
  }
  return names;
}

bool CheckpointReader::has_attribute(const std::string& name) const {
  const auto slash = name.rfind('/');
  return h5::has_attribute(state_->file, name.substr(0, slash), name.substr(slash + 1));
}

CheckpointValue CheckpointReader::attribute(const std::string& name) const {
  check_object_name(name);
  CARAVAN_CHECK(has_attribute(name), IoError, fmt::format("{} has no value {}", state_->folder, name));
  const auto slash = name.rfind('/');
  return h5::read_attribute(state_->file, name.substr(0, slash), name.substr(slash + 1));
}

}  // namespace caravan::io
