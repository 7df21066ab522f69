#include "core/run/logit_clip.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "caravan/check.hpp"

namespace caravan {
namespace {

/// Query heads of the whole model's parameter, or key heads.
std::int64_t heads_of(const Parameter& parameter, std::size_t part) {
  return parameter.part_shape(part)[0] / parameter.spec().parts[part].unit;
}

std::int64_t query_heads_of(const Parameter& parameter) {
  return heads_of(parameter, parameter.logit_parts()->queries);
}

std::vector<Parameter*> clipped(const ParameterStore& store) {
  std::vector<Parameter*> parameters;
  for (const auto& parameter : store.parameters())
    if (clip_state(*parameter) == ClipState::clipped) parameters.push_back(parameter.get());
  return parameters;
}

std::int64_t count_heads(const std::vector<Parameter*>& parameters) {
  std::int64_t heads = 0;
  for (const Parameter* parameter : parameters) heads += query_heads_of(*parameter);
  return heads;
}

std::size_t bytes_of(std::int64_t heads) {
  return 2 * (static_cast<std::size_t>(heads) * sizeof(float) + Arena::kAlignment);
}

/// Elements of the parameter's shape here, row-major, that are the part's.
std::pair<std::int64_t, std::int64_t> elements_of(const Parameter& parameter, std::size_t part) {
  std::int64_t begin = 0;
  for (std::size_t before = 0; before < part; ++before) begin += parameter.part_box(before).extents.count();
  return {begin, begin + parameter.part_box(part).extents.count()};
}

}  // namespace

std::optional<ClipState> clip_state(const Parameter& parameter) {
  if (!parameter.logit_parts()) return std::nullopt;
  if (parameter.logit_parts()->are_normed) return ClipState::normed;
  return parameter.is_trained() ? ClipState::clipped : ClipState::frozen;
}

LogitClip::LogitClip(Device& device, const ParameterStore& store, double limit)
    : device_(device),
      limit_(limit),
      parameters_(clipped(store)),
      memory_(device, bytes_of(count_heads(parameters_)), "largest logits"),
      largest_(memory_.take(DType::f32, {count_heads(parameters_)})),
      none_(memory_.take(DType::f32, {count_heads(parameters_)})) {
  const std::vector<float> nothing(static_cast<std::size_t>(none_.count()),
                                   -std::numeric_limits<float>::infinity());
  device_.copy_from_host(Lane::compute, none_.data, nothing.data(), none_.bytes());
  std::int64_t first = 0;
  for (Parameter* parameter : parameters_) {
    const std::int64_t heads = query_heads_of(*parameter);
    add_pieces(store, *parameter, largest_.rows(first, first + heads));
    first += heads;
  }
}

LogitClip::~LogitClip() {
  for (Parameter* parameter : parameters_) parameter->largest_logits = {};
}

/// `largest`: of all its query heads.
void LogitClip::add_pieces(const ParameterStore& store, Parameter& parameter, const TensorView& largest) {
  const LogitParts parts = *parameter.logit_parts();
  const Box& queries = parameter.part_box(parts.queries);
  const std::int64_t unit = parameter.spec().parts[parts.queries].unit;
  parameter.largest_logits =
      largest.rows(queries.origin[0] / unit, (queries.origin[0] + queries.extents[0]) / unit);
  for (const Fragment& fragment : store.fragments()) {
    if (fragment.parameter != &parameter) continue;
    add_piece(fragment, largest, ClipHeads::Of::queries);
    add_piece(fragment, largest, ClipHeads::Of::keys);
  }
}

void LogitClip::add_piece(const Fragment& fragment, const TensorView& largest, ClipHeads::Of of) {
  const Parameter& parameter = *fragment.parameter;
  const LogitParts parts = *parameter.logit_parts();
  const std::size_t part = of == ClipHeads::Of::queries ? parts.queries : parts.keys;
  const auto [part_begin, part_end] = elements_of(parameter, part);
  const std::int64_t begin = std::max(fragment.begin, part_begin), end = std::min(fragment.end, part_end);
  if (begin >= end) return;
  const std::int64_t columns = parameter.shape()[1];
  CARAVAN_EXPECT(columns == parameter.part_shape(part)[1]);
  const auto kept = [&](const TensorView& flat) {
    return flat.rows(begin - fragment.begin, end - fragment.begin);
  };
  pieces_.push_back(
      {.of = of,
       .master = kept(fragment.master),
       .weight = fragment.weight.data == fragment.master.data ? TensorView{} : kept(fragment.weight),
       .first = parameter.part_box(part).origin[0] * columns + begin - part_begin,
       .head_elements = parameter.spec().parts[part].unit * columns,
       .largest = largest,
       .kv_heads = heads_of(parameter, parts.keys),
       .limit = limit_,
       .proceed = {}});
}

void LogitClip::start() {
  device_.copy(Lane::compute, largest_.data, none_.data, largest_.bytes());
}

void LogitClip::gather(Communicator& rows) {
  if (largest_.count() > 0) rows.all_reduce(largest_, ReduceOp::max);
}

void LogitClip::clip(TensorView proceed) {
  for (ClipHeads piece : pieces_) {
    piece.proceed = proceed;
    device_.ops().clip_heads(piece);
  }
}

}  // namespace caravan
