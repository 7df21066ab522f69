#include "io/hf/weight_source.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "io/hf/checkpoint_source.hpp"
#include "io/hf/hf_source.hpp"
#include "io/hf/model_path.hpp"
#include "io/hf/named_source.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kMostListed = 4;

/// "missing: a, b and 3 more"; "" when there are none.
std::string listed(std::string_view what, const std::vector<std::string>& names) {
  if (names.empty()) return "";
  const std::size_t count = std::min(names.size(), kMostListed);
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(count);
  const std::string more = names.size() > count ? fmt::format(" and {} more", names.size() - count) : "";
  return fmt::format("; {}: {}{}", what, fmt::join(names.begin(), end, ", "), more);
}

/// Balancing state that torchtitan keeps among its weights; it starts at zero when it is not taken.
bool is_state(const std::string& name) {
  return name.ends_with(".expert_bias");
}

}  // namespace

void WeightSource::read(const std::string& name, const TensorView& to) const {
  const Shape stored = shape(name);
  CARAVAN_CHECK(stored == to.shape, IoError,
                fmt::format("{} has shape {} in {} ({} was asked for)", name, to_string(stored),
                            description(), to_string(to.shape)));
  read_inside(name, {}, to);
}

void WeightSource::read_block(const std::string& name, const Origin& origin, const TensorView& to) const {
  const Shape stored = shape(name);
  bool inside = stored.rank() == to.shape.rank();
  for (int axis = 0; inside && axis < stored.rank(); ++axis) {
    const std::int64_t begin = origin[static_cast<std::size_t>(axis)];
    inside = begin >= 0 && begin <= stored[axis] && to.extent(axis) <= stored[axis] - begin;
  }
  CARAVAN_CHECK(inside, IoError,
                fmt::format("{} has shape {} in {} (a block of {} does not lie in it)", name,
                            to_string(stored), description(), to_string(to.shape)));
  read_inside(name, origin, to);
}

std::unique_ptr<WeightSource> open_weight_source(const std::string& path) {
  const ModelPath model = resolve_model_path(path);
  switch (model.kind) {
    case ModelPath::Kind::hf_folder:
      return std::make_unique<HfSource>(model.path);
    case ModelPath::Kind::checkpoint:
      return std::make_unique<CheckpointSource>(model.path);
    case ModelPath::Kind::safetensors:
      break;
  }
  SafetensorsSet set(model.path);
  if (set.has("tok_embeddings.weight")) return std::make_unique<NamedSource>(std::move(set));
  return std::make_unique<HfSource>(model.path);
}

void check_weights(const WeightSource& source, std::span<const NamedShape> wanted) {
  std::set<std::string> known;
  std::vector<std::string> missing, wrong, extra;
  for (const NamedShape& want : wanted) {
    known.insert(want.name);
    if (!source.has(want.name)) {
      missing.push_back(want.name);
    } else if (const Shape shape = source.shape(want.name); shape != want.shape) {
      wrong.push_back(
          fmt::format("{} is {} instead of {}", want.name, to_string(shape), to_string(want.shape)));
    }
  }
  for (const std::string& name : source.names()) {
    if (!known.contains(name) && !is_state(name)) extra.push_back(name);
  }
  CARAVAN_CHECK(
      missing.empty() && wrong.empty() && extra.empty(), IoError,
      fmt::format("{} does not fit the model{}{}{}", source.description(), listed("missing", missing),
                  listed("wrong shape", wrong), listed("not in the model", extra)));
}

}  // namespace caravan::io
