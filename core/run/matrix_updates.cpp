#include "core/run/matrix_updates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "caravan/check.hpp"
#include "core/run/parameter_groups.hpp"

namespace caravan {
namespace {

/// f32 elements of a whole number of arena lines, so that what follows is aligned.
std::int64_t lines(std::int64_t elements) {
  constexpr auto kLine = static_cast<std::int64_t>(Arena::kAlignment / sizeof(float));
  return (elements + kLine - 1) / kLine * kLine;
}

void check_matrices(const ParameterSpec& spec) {
  const int rank = spec.shape.rank();
  CARAVAN_CHECK(rank == 2 || rank == 3, ConfigError,
                fmt::format("parameter '{}' of shape {} cannot be updated by matrices (it is none)",
                            spec.name, to_string(spec.shape)));
  CARAVAN_CHECK(spec.parts.size() == 1 || spec.part_axis == rank - 2, ConfigError,
                fmt::format("parameter '{}' cannot be updated by matrices (its parts lie along axis {})",
                            spec.name, spec.part_axis));
}

/// The last two axes.
Box slice_of(const Box& box) {
  const auto rank = static_cast<std::size_t>(box.extents.rank());
  Box slice;
  for (std::size_t axis = rank - 2; axis < rank; ++axis) {
    slice.origin[axis + 2 - rank] = box.origin[axis];
    slice.extents.append(box.extents[static_cast<int>(axis)]);
  }
  return slice;
}

void add_places(const Fragment& fragment, std::vector<MatrixPlace>& places) {
  const Parameter& parameter = *fragment.parameter;
  const Shape& shape = parameter.shape();
  const int rank = shape.rank();
  const std::int64_t matrices = rank == 3 ? shape[0] : 1, columns = shape[rank - 1];
  for (std::int64_t first = 0, matrix = 0; matrix < matrices; ++matrix) {
    for (std::size_t part = 0; part < parameter.spec().parts.size(); ++part) {
      const Shape whole = parameter.part_shape(part);
      const Box slice = slice_of(parameter.part_box(part));
      const std::int64_t end = first + slice.extents[0] * columns;
      places.push_back(
          {&fragment, first, end, {whole[rank - 2], whole[rank - 1]}, slice, parameter.counts(part)});
      first = end;
    }
  }
}

}  // namespace

std::vector<MatrixPlace> matrix_places(const ParameterStore& store) {
  std::vector<MatrixPlace> places;
  for (const Fragment& fragment : store.fragments()) {
    if (!fragment.parameter->update_rule().by_matrix || !fragment.parameter->is_trained()) continue;
    check_matrices(fragment.parameter->spec());
    add_places(fragment, places);
  }
  return places;
}

bool MatrixUpdates::are_wanted(const ParameterStore& store) {
  return std::any_of(store.parameters().begin(), store.parameters().end(), [](const auto& parameter) {
    return parameter->update_rule().by_matrix && parameter->is_trained();
  });
}

std::int64_t MatrixUpdates::work_elements(const ParameterStore& store, const Optimizer& optimizer) {
  std::int64_t most = 0;
  for (const MatrixPlace& place : matrix_places(store)) {
    const std::int64_t gathered = place.is_cut() ? lines(place.whole.count()) : 0;
    most = std::max(most, gathered + lines(optimizer.work_elements(place.whole[0], place.whole[1])));
  }
  return most;
}

MatrixUpdates::MatrixUpdates(Device& device, const ParameterStore& store, Optimizer& optimizer, Mesh* mesh)
    : device_(device),
      optimizer_(optimizer),
      mesh_(mesh),
      memory_(
          device,
          static_cast<std::size_t>(work_elements(store, optimizer)) * sizeof(float) + 2 * Arena::kAlignment,
          "whole matrices"),
      work_(memory_.take(DType::f32, {work_elements(store, optimizer)})),
      sum_(memory_.take(DType::f64, {1})) {
  std::map<const Parameter*, std::vector<MatrixPlace>> of;
  for (const MatrixPlace& place : matrix_places(store)) of[place.fragment->parameter].push_back(place);
  const auto take = [&](Batch& batch, const Parameter* parameter) {
    batch.matrices.insert(batch.matrices.end(), of[parameter].begin(), of[parameter].end());
  };
  if (store.groups().empty()) {
    for (const auto& parameter : store.parameters()) take(batches_.emplace_back(), parameter.get());
    return;
  }
  for (const ParameterGroup& group : store.groups()) {
    Batch& batch = batches_.emplace_back();
    for (const Parameter* parameter : group.parameters) take(batch, parameter);
    if (!group.is_divided()) continue;
    batch.group = &group;
    batch.ranks = &mesh_->group(group.over).tensors;
    CARAVAN_EXPECT(batch.matrices.empty() || group.sums_stretches());
  }
}

/// Who has the other slices of the parameter's matrices.
Communicator& MatrixUpdates::cutters(const Parameter& parameter) {
  const int rank = parameter.spec().shape.rank();
  for (const Cut& cut : parameter.spec().sharding.cuts) {
    if (cut.axis < rank - 2 || mesh_->degree(cut.by) == 1) continue;
    for (const MeshAxis axis : {MeshAxis::tp, MeshAxis::etp})
      if (cut.by == axis) return mesh_->group(axis).tensors;
  }
  throw Error(fmt::format("nobody has the rest of parameter '{}'", parameter.spec().name));
}

void MatrixUpdates::run() {
  for (const Batch& batch : batches_) {
    if (batch.matrices.empty()) continue;
    if (batch.group) batch.ranks->all_gather(batch.group->own_gradients, batch.group->gradients);
    for (const MatrixPlace& place : batch.matrices) {
      if (!place.is_cut() && !place.is_kept()) continue;
      transform(place);
      if (batch.group && place.is_kept()) put_back(place);
    }
  }
}

void MatrixUpdates::transform(const MatrixPlace& place) {
  const TensorView& whole = place.fragment->parameter->grad;
  const TensorView here(whole.as<float>() + place.begin, DType::f32, place.box.extents);
  const TensorView values = place.is_cut() ? gathered(place, here) : here;
  const std::int64_t taken = place.is_cut() ? lines(place.whole.count()) : 0;
  device_.fill_zero(Lane::compute, sum_.data, sum_.bytes());
  const std::int64_t needed = optimizer_.work_elements(place.whole[0], place.whole[1]);
  optimizer_.transform(device_.ops(), {values, work_.rows(taken, taken + needed), sum_});
  if (place.is_cut()) device_.copy_rows(Lane::compute, here, block_of(values, place.box));
}

/// Slices among zeros, summed: each element is one rank's.
TensorView MatrixUpdates::gathered(const MatrixPlace& place, const TensorView& here) {
  const TensorView whole = work_.rows(0, place.whole.count()).reshape(place.whole);
  device_.fill_zero(Lane::compute, whole.data, whole.bytes());
  if (place.counts) device_.copy_rows(Lane::compute, block_of(whole, place.box), here);
  cutters(*place.fragment->parameter).all_reduce(whole, ReduceOp::sum);
  return whole;
}

void MatrixUpdates::put_back(const MatrixPlace& place) {
  const Fragment& fragment = *place.fragment;
  const std::int64_t begin = std::max(place.begin, fragment.begin), end = std::min(place.end, fragment.end);
  const TensorView to = fragment.grad.rows(begin - fragment.begin, end - fragment.begin);
  device_.copy(Lane::compute, to.data, fragment.parameter->grad.as<float>() + begin, to.bytes());
}

}  // namespace caravan
