#include "io/hf/weight_source.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "io/hf/checkpoint_source.hpp"
#include "io/hf/hf_source.hpp"
#include "io/hf/model_path.hpp"
#include "io/hf/named_source.hpp"
#include "io/meta/meta_source.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kMostListed = 4;

/// "; missing: a, b and 3 more"; "" when there are none.
std::string listed(std::string_view what, const std::vector<std::string>& names) {
  return names.empty() ? "" : fmt::format("; {}: {}", what, first_few(names));
}

/// Two of ours may be halves of one tensor of the file.
void add_once(std::vector<std::string>& names, std::string name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
}

void add_stored(const WeightSource& source, const NamedShape& ours, std::vector<std::string>& names) {
  for (const NamedShape& stored : source.stored_as(ours)) add_once(names, stored.name);
}

std::string difference(const WeightSource& source, const NamedShape& want) {
  const NamedShape is{want.name, source.shape(want.name)};
  const auto stored = source.stored_as(is), needed = source.stored_as(want);
  const bool whole = stored.size() == 1 && needed.size() == 1;
  const NamedShape &a = whole ? stored[0] : is, &b = whole ? needed[0] : want;
  return fmt::format("{} is {} instead of {}", a.name, to_string(a.shape), to_string(b.shape));
}

bool is_float(DType type) {
  return type == DType::f32 || type == DType::f64 || type == DType::bf16 || type == DType::f16;
}

/// Balancing state that torchtitan keeps among its weights; it starts at zero when it is not taken.
bool is_state(const std::string& name) {
  return name.ends_with(".expert_bias");
}

}  // namespace

std::vector<std::string> WeightSource::expert_biases() const {
  std::vector<std::string> biases = names();
  std::erase_if(biases, [](const std::string& name) { return !is_state(name); });
  return biases;
}

void WeightSource::read(const std::string& name, const TensorView& to) const {
  const Shape stored = shape(name);
  CARAVAN_CHECK(stored == to.shape, IoError,
                fmt::format("{} has shape {} in {} ({} was asked for)", name, to_string(stored),
                            description(), to_string(to.shape)));
  read_inside(name, {}, to, 1);
}

void WeightSource::read_block(const std::string& name, const Origin& origin, const TensorView& to,
                              int threads) const {
  const Shape stored = shape(name);
  bool inside = stored.rank() == to.shape.rank();
  for (int axis = 0; inside && axis < stored.rank(); ++axis) {
    const std::int64_t begin = origin[static_cast<std::size_t>(axis)];
    inside = begin >= 0 && begin <= stored[axis] && to.extent(axis) <= stored[axis] - begin;
  }
  CARAVAN_CHECK(inside, IoError,
                fmt::format("{} has shape {} in {} (a block of {} does not lie in it)", name,
                            to_string(stored), description(), to_string(to.shape)));
  read_inside(name, origin, to, threads);
}

namespace {

std::unique_ptr<WeightSource> open_weights(const ModelPath& model, const std::string& tied_by) {
  switch (model.kind) {
    case ModelPath::Kind::hf_folder:
      return std::make_unique<HfSource>(model.path);
    case ModelPath::Kind::checkpoint:
      return std::make_unique<CheckpointSource>(model.path);
    case ModelPath::Kind::meta_folder:
      return std::make_unique<MetaSource>(model.path);
    case ModelPath::Kind::safetensors:
      break;
  }
  SafetensorsSet set(model.path);
  if (set.has("tok_embeddings.weight")) return std::make_unique<NamedSource>(std::move(set));
  return std::make_unique<HfSource>(model.path, tied_by);
}

}  // namespace

std::unique_ptr<WeightSource> open_weight_source(const std::string& path, const std::string& tied_by) {
  return open_model_path(path, [&](const ModelPath& model) { return open_weights(model, tied_by); });
}

std::string first_few(const std::vector<std::string>& names) {
  const std::size_t count = std::min(names.size(), kMostListed);
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(count);
  const std::string more = names.size() > count ? fmt::format(" and {} more", names.size() - count) : "";
  return fmt::format("{}{}", fmt::join(names.begin(), end, ", "), more);
}

std::vector<std::string> check_weights(const WeightSource& source, std::span<const NamedShape> wanted,
                                       Surplus surplus) {
  std::set<std::string> known;
  std::vector<std::string> missing, wrong, whole, extra;
  for (const NamedShape& want : wanted) {
    known.insert(want.name);
    if (!source.has(want.name))
      add_stored(source, want, missing);
    else if (source.shape(want.name) != want.shape)
      add_once(wrong, difference(source, want));
    else if (const DType type = source.dtype(want.name); !is_float(type))
      add_once(whole, fmt::format("{} of {}", source.stored_as(want).front().name, name_of(type)));
  }
  for (const std::string& name : source.names()) {
    if (known.contains(name) || is_state(name)) continue;
    add_stored(source, {name, source.has(name) ? source.shape(name) : Shape{}}, extra);
  }
  const bool fits =
      missing.empty() && wrong.empty() && whole.empty() && (extra.empty() || surplus == Surplus::left_out);
  CARAVAN_CHECK(fits, IoError,
                fmt::format("{} does not fit the model{}{}{}{}", source.description(),
                            listed("missing", missing), listed("wrong shape", wrong),
                            listed("no floating-point numbers", whole), listed("not in the model", extra)));
  return extra;
}

}  // namespace caravan::io
