#include "caravan/parameter.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"

namespace caravan {

AxisRange share_of_axis(std::int64_t extent, int degree, int coordinate) {
  CARAVAN_EXPECT(degree > 0 && coordinate >= 0 && coordinate < degree);
  const std::int64_t each = extent / degree, longer = extent % degree;
  const auto begin_of = [&](std::int64_t at) { return at * each + std::min(at, longer); };
  return {begin_of(coordinate), begin_of(coordinate + 1)};
}

namespace {

const Cut* cut_along(const ParameterSpec& spec, int axis) {
  for (const Cut& cut : spec.sharding.cuts)
    if (cut.axis == axis) return &cut;
  return nullptr;
}

/// A rank among those that cut an axis.
struct Cutter {
  int degree = 1, coordinate = 0;
};

/// How many of the cutters have the same units, where there are fewer of these.
int copies_of(const ParameterPart& part, int degree) {
  const std::int64_t units = part.extent / part.unit;
  return part.repeats && units < degree && degree % units == 0 ? static_cast<int>(degree / units) : 1;
}

AxisRange share_of(const ParameterPart& part, const Cutter& who) {
  const int copies = copies_of(part, who.degree);
  const AxisRange range =
      share_of_axis(part.extent / part.unit, who.degree / copies, who.coordinate / copies);
  return {range.begin * part.unit, range.end * part.unit};
}

/// On all ranks alike, so that a plan for one speaks for the others: the last one has the least.
void check_shares(const ParameterSpec& spec, int axis, const ParameterPart& part, int degree,
                  const Cut& cut) {
  CARAVAN_CHECK(
      share_of(part, {degree, degree - 1}).size() > 0, ConfigError,
      fmt::format("parameter '{}' with {} elements along axis {} on {} ranks of {} (each needs one). "
                  "Fewer ranks there, or a wider model?",
                  spec.name, part.extent, axis, degree, cut.by.name()));
}

}  // namespace

Parameter::Place Parameter::place_of(const ParameterSpec& spec, const ParameterPart& part, const Mesh* mesh) {
  const auto on = [&](MeshAxes axes) {
    return mesh ? Cutter{mesh->degree(axes), mesh->coordinate(axes)} : Cutter{};
  };
  Place place;
  bool is_cut_by_tensor = spec.kind == ParameterKind::expert;
  for (int axis = 0; axis < spec.shape.rank(); ++axis) {
    const ParameterPart along =
        axis == spec.part_axis ? part : ParameterPart{spec.name, spec.shape[axis], {}};
    AxisRange range{0, along.extent};
    if (const Cut* cut = cut_along(spec, axis)) {
      check_shares(spec, axis, along, on(cut->by).degree, *cut);
      range = share_of(along, on(cut->by));
      is_cut_by_tensor |= cut->by == MeshAxis::tp;
      place.copies *= copies_of(along, on(cut->by).degree);
    }
    place.box.origin[static_cast<std::size_t>(axis)] = range.begin;
    place.box.extents.append(range.size());
  }
  if (!is_cut_by_tensor) place.copies = on(MeshAxis::tp).degree;
  place.counts = on(MeshAxis::tp).coordinate % place.copies == 0;
  return place;
}

Parameter::Parameter(ParameterSpec spec, const Mesh* mesh) : spec_(std::move(spec)), shape_(spec_.shape) {
  std::int64_t extent = 0;
  for (const ParameterPart& part : spec_.parts) {
    places_.push_back(place_of(spec_, part, mesh));
    shape_ = places_.back().box.extents;
    extent += shape_[spec_.part_axis];
  }
  shape_.set(spec_.part_axis, extent);
  gradient_rows_ = {0, shape_[0]};
}

TensorView Parameter::part(const TensorView& whole, std::size_t index) const {
  std::int64_t begin = 0;
  for (std::size_t before = 0; before < index; ++before) begin += part_box(before).extents[spec_.part_axis];
  return whole.slice(spec_.part_axis, begin, begin + part_box(index).extents[spec_.part_axis]);
}

Shape Parameter::part_shape(std::size_t index) const {
  Shape shape = spec_.shape;
  shape.set(spec_.part_axis, spec_.parts[index].extent);
  return shape;
}

namespace {

/// The block of a parameter's elements in a flat tensor that begins with element `begin` of it.
TensorView block_in(const TensorView& flat, const Shape& shape, std::int64_t begin, const Box& block) {
  TensorView view(nullptr, flat.dtype, shape);
  std::int64_t first = -begin;
  for (int axis = 0; axis < shape.rank(); ++axis) first += block.begin(axis) * view.stride(axis);
  if (flat.data) view.data = flat.as<std::byte>() + first * static_cast<std::int64_t>(size_of(flat.dtype));
  view.shape = block.extents;
  return view;
}

}  // namespace

std::vector<PartOfFragment> parts_of(const Fragment& fragment, const TensorView& flat) {
  const Parameter& parameter = *fragment.parameter;
  const int part_axis = parameter.spec().part_axis;
  std::vector<PartOfFragment> found;
  for (const Box& box : boxes_of_range(parameter.shape(), fragment.begin, fragment.end)) {
    Box slab = Box::whole(parameter.shape());
    for (std::size_t part = 0; part < parameter.spec().parts.size(); ++part) {
      const Box& own = parameter.part_box(part);
      slab.extents.set(part_axis, own.extents[part_axis]);
      const Box common = intersection(box, slab);
      if (common.extents.count() > 0) {
        Box in_part = moved(common, slab.origin);
        for (std::size_t axis = 0; axis < own.origin.size(); ++axis) in_part.origin[axis] += own.origin[axis];
        found.push_back({part, in_part, block_in(flat, parameter.shape(), fragment.begin, common)});
      }
      slab.origin[static_cast<std::size_t>(part_axis)] += own.extents[part_axis];
    }
  }
  return found;
}

}  // namespace caravan
