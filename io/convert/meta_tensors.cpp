#include "io/convert/meta_tensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "caravan/check.hpp"
#include "io/files/convert.hpp"
#include "io/meta/meta_names.hpp"

namespace caravan::io {
namespace {

class RankTensors {
 public:
  RankTensors(const WeightSource& source, const Selection& selection, const MetaHeads& heads,
              std::int64_t rank, std::int64_t ranks)
      : source_(source), selection_(selection), heads_(heads), rank_(rank), ranks_(ranks) {
    for (const NamedShape& weight : selection.weights) shapes_.emplace(weight.name, weight.shape);
  }

  std::vector<MadeTensor> all() const {
    std::vector<MadeTensor> tensors;
    std::set<std::string> made;
    for (const NamedShape& weight : selection_.weights) {
      const auto tensor = meta_tensor_of(weight.name);
      CARAVAN_CHECK(tensor, IoError,
                    fmt::format("{} has no place in Meta's format for Llama 4", weight.name));
      if (made.insert(tensor->name).second) tensors.push_back(make(*tensor));
    }
    return tensors;
  }

 private:
  const Shape& shape_of(const std::string& ours) const {
    const auto found = shapes_.find(ours);
    CARAVAN_CHECK(found != shapes_.end(), IoError,
                  fmt::format("{} is missing (it stands in one tensor with others)", ours));
    return found->second;
  }

  std::int64_t share(std::int64_t count, const std::string& ours) const {
    CARAVAN_CHECK(
        count % ranks_ == 0, ConfigError,
        fmt::format("--model-parallel={} ({} of {} do not divide by it). Fewer ranks?", ranks_, count, ours));
    return count / ranks_;
  }

  /// The norm before a feed-forward has another name where there are experts.
  std::string name_of(const MetaTensor& tensor) const {
    static constexpr std::string_view kNorm = "feed_forward.norm.weight";
    if (!tensor.name.ends_with(kNorm)) return tensor.name;
    const std::string layer = tensor.name.substr(0, tensor.name.size() - kNorm.size());
    return shapes_.contains(layer + "moe.router.gate.weight") ? tensor.name
                                                              : layer + "feed_forward.mlp.layer_norm_weight";
  }

  /// Parts of different types meet in the wider one.
  DType dtype_of(const MetaTensor& tensor) const {
    DType dtype = dtype_of_made(source_, tensor.ours.front(), selection_.dtype);
    for (const std::string& ours : tensor.ours) {
      shape_of(ours);
      dtype = wider(dtype, dtype_of_made(source_, ours, selection_.dtype));
    }
    return dtype;
  }

  MadeTensor make(const MetaTensor& tensor) const {
    const std::string& ours = tensor.ours.front();
    const Shape& shape = shape_of(ours);
    const DType dtype = dtype_of(tensor);
    switch (tensor.form) {
      case MetaForm::whole:
        return block(tensor, dtype, shape, {}, shape, false);
      case MetaForm::router:
        return block(tensor, dtype, {shape[1], shape[0]}, {}, {shape[1], shape[0]}, true);
      case MetaForm::columns: {
        const std::int64_t columns = share(shape[1], ours);
        return block(tensor, dtype, {shape[0], columns}, {0, rank_ * columns}, {shape[0], columns}, false);
      }
      case MetaForm::experts_in: {
        const std::int64_t width = share(shape[1], ours);
        return block(tensor, dtype, {shape[0] * shape[2], width}, {0, rank_ * width},
                     {shape[0], shape[2], width}, true);
      }
      case MetaForm::experts_out: {
        const std::int64_t width = share(shape[2], ours);
        return block(tensor, dtype, {shape[0] * width, shape[1]}, {0, 0, rank_ * width},
                     {shape[0], width, shape[1]}, true);
      }
      default:
        return rows(tensor, dtype);
    }
  }

  MadeTensor block(const MetaTensor& tensor, DType dtype, const Shape& stored, const Origin& from,
                   const Shape& shape, bool transposed) const {
    return {
        name_of(tensor), dtype, stored, shape, {{tensor.ours.front(), from, Box::whole(shape), transposed}}};
  }

  /// This rank's rows of one or several of ours, one behind the other.
  MadeTensor rows(const MetaTensor& tensor, DType dtype) const {
    MadeTensor made{name_of(tensor), dtype, {}, {}, {}};
    std::int64_t begin = 0;
    for (const std::string& ours : tensor.ours) {
      const Shape& whole = shape_of(ours);
      const auto [first, count] = rows_of(ours, whole[0]);
      made.parts.push_back({ours, {first}, {{begin}, {count, whole[1]}}, false});
      made.shape = {begin += count, whole[1]};
    }
    made.stored = made.shape;
    return made;
  }

  /// Of more ranks than heads of keys each head stands on several.
  std::pair<std::int64_t, std::int64_t> rows_of(const std::string& ours, std::int64_t rows) const {
    const bool is_of_keys = ours.ends_with("attention.wk.weight") || ours.ends_with("attention.wv.weight");
    if (is_of_keys && ranks_ > heads_.kv_heads && ranks_ % heads_.kv_heads == 0)
      return {rank_ / (ranks_ / heads_.kv_heads) * heads_.head_dim, heads_.head_dim};
    if (is_of_keys) share(heads_.kv_heads, ours);
    if (ours.ends_with("attention.wq.weight")) share(heads_.heads, ours);
    const std::int64_t count = share(rows, ours);
    return {rank_ * count, count};
  }

  const WeightSource& source_;
  const Selection& selection_;
  const MetaHeads& heads_;
  std::int64_t rank_, ranks_;
  std::map<std::string, Shape> shapes_;
};

}  // namespace

std::vector<MadeTensor> meta_tensors(const WeightSource& source, const Selection& selection,
                                     const MetaHeads& heads, std::int64_t rank, std::int64_t ranks) {
  return RankTensors(source, selection, heads, rank, ranks).all();
}

}  // namespace caravan::io
