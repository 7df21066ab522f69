#include "core/run/stash.hpp"

#include <algorithm>

namespace caravan {
namespace {

constexpr std::size_t kAlignment = 64;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

StashLayout::StashLayout(const std::vector<Layer*>& layers, const BatchShape& shape, StashMode mode,
                         std::int64_t width, StageEnds ends)
    : shape_(shape), mode_(mode), layers_(layers.size()) {
  place_boundaries(width);
  place_ends(width, ends);
  const auto start = next_;
  for (std::size_t index = 0; index < layers.size(); ++index) {
    next_[forward_scratch] = start[forward_scratch];
    next_[backward_scratch] = start[backward_scratch];
    if (mode_ == StashMode::inference) next_[kept] = start[kept];
    StashPlan plan;
    layers[index]->plan(shape, plan);
    place_slots(index, plan);
  }
}

StashLayout::Place StashLayout::take(Region region, DType dtype, const Shape& shape) {
  Place place{dtype, shape, region, next_[region]};
  next_[region] += aligned(static_cast<std::size_t>(shape.count()) * size_of(dtype));
  bytes_[region] = std::max(bytes_[region], next_[region]);
  return place;
}

StashLayout::Region StashLayout::region_of(Lifetime lifetime) const {
  switch (lifetime) {
    case Lifetime::forward:
      return forward_scratch;
    case Lifetime::input:
    case Lifetime::weight:
      return kept;
    case Lifetime::backward:
      return backward_scratch;
    case Lifetime::backward_weight:
      return mode_ == StashMode::split ? deferred : backward_scratch;
    case Lifetime::session:
      return session;
  }
  return kept;
}

// Between two layers there is one [T, H] activation and one gradient. Activations are kept for training and
// alternate between two otherwise; gradients alternate when W follows I at once and are kept when W is
// deferred.
void StashLayout::place_boundaries(std::int64_t width) {
  const Shape shape{shape_.tokens(), width};
  const std::size_t inner = layers_.empty() ? 0 : layers_.size() - 1;
  std::vector<Place> activations, gradients;
  for (std::size_t boundary = 0; boundary < inner; ++boundary) {
    const bool reuse = mode_ == StashMode::inference && boundary >= 2;
    activations.push_back(reuse ? activations[boundary - 2] : take(kept, shape_.compute, shape));
    if (mode_ == StashMode::inference) continue;
    const bool alternate = mode_ == StashMode::fused;
    gradients.push_back(alternate && boundary >= 2
                            ? gradients[boundary - 2]
                            : take(alternate ? backward_scratch : deferred, shape_.compute, shape));
  }
  for (std::size_t boundary = 0; boundary < inner; ++boundary) {
    layers_[boundary].y = layers_[boundary + 1].x = activations[boundary];
    if (mode_ != StashMode::inference) layers_[boundary].dy = layers_[boundary + 1].dx = gradients[boundary];
  }
}

void StashLayout::place_ends(std::int64_t width, StageEnds ends) {
  const Shape shape{shape_.tokens(), width};
  if (ends.has_output) layers_.back().y = take(kept, shape_.compute, shape);
  if (ends.has_input && mode_ != StashMode::inference) layers_.front().dx = take(kept, shape_.compute, shape);
}

void StashLayout::place_slots(std::size_t index, const StashPlan& plan) {
  for (const StashPlan::Entry& entry : plan.entries()) {
    layers_[index].names.push_back(entry.name);
    const bool backward = entry.lifetime == Lifetime::backward || entry.lifetime == Lifetime::backward_weight;
    const bool absent = entry.shape.count() == 0 || (backward && mode_ == StashMode::inference);
    layers_[index].slots.push_back(absent ? Place{entry.dtype, Shape{0}, kept, 0}
                                          : take(region_of(entry.lifetime), entry.dtype, entry.shape));
  }
}

std::size_t StashLayout::total_bytes(int in_flight) const {
  const auto sets = static_cast<std::size_t>(in_flight);
  return sets * (bytes_[kept] + bytes_[deferred]) + bytes_[forward_scratch] + bytes_[backward_scratch] +
         bytes_[session];
}

Stash::Stash(Device& device, StashLayout layout, int in_flight)
    : Stash(device, std::move(layout), in_flight, nullptr) {}

Stash::Stash(Device& device, StashLayout layout, const Stash& session)
    : Stash(device, std::move(layout), 1, &session) {}

Stash::Stash(Device& device, StashLayout layout, int in_flight, const Stash* session)
    : layout_(std::move(layout)),
      in_flight_(in_flight),
      memory_(
          device,
          layout_.total_bytes(in_flight) - (session ? layout_.bytes(StashLayout::session) : 0) + kAlignment,
          "activations") {
  auto* next = static_cast<char*>(memory_.base());
  for (std::size_t region = 0; region < StashLayout::kRegions; ++region) {
    if (region == StashLayout::session && session) {
      base_[region] = session->base_[region];
      continue;
    }
    const bool per_set = region == StashLayout::kept || region == StashLayout::deferred;
    base_[region] = next;
    next += layout_.bytes(static_cast<StashLayout::Region>(region)) *
            static_cast<std::size_t>(per_set ? in_flight : 1);
  }
  device.fill_zero(Lane::compute, memory_.base(), memory_.capacity());  // first touch
  for (int set = 0; set < in_flight; ++set) {
    std::vector<Frame>& frames = frames_.emplace_back();
    for (std::size_t index = 0; index < layout_.num_layers(); ++index)
      frames.push_back(make_frame(index, set));
  }
}

TensorView Stash::view(const StashLayout::Place& place, int set) const {
  if (place.shape.rank() == 0 || place.shape.count() == 0) return {};
  char* at = base_[place.region] + place.offset;
  if (place.region == StashLayout::kept || place.region == StashLayout::deferred) {
    at += static_cast<std::size_t>(set) * layout_.bytes(place.region);
  }
  return TensorView(at, place.dtype, place.shape);
}

void Stash::bind(int set, TensorView input, TensorView output_gradient) {
  std::vector<Frame>& frames = frames_[static_cast<std::size_t>(set)];
  frames.front().x = input;
  frames.back().dy = output_gradient;
}

TensorView Stash::find(std::size_t layer, std::string_view name, int set) const {
  const StashLayout::LayerPlaces& places = layout_.layer(layer);
  for (std::size_t slot = 0; slot < places.names.size(); ++slot) {
    if (places.names[slot] == name) return view(places.slots[slot], set);
  }
  return {};
}

Frame Stash::make_frame(std::size_t index, int set) const {
  const StashLayout::LayerPlaces& places = layout_.layer(index);
  Frame frame{view(places.x, set), view(places.y, set), view(places.dx, set), view(places.dy, set), {}};
  frame.slots.reserve(places.slots.size());
  for (const StashLayout::Place& place : places.slots) frame.slots.push_back(view(place, set));
  return frame;
}

}  // namespace caravan
