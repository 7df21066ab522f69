#include "core/run/stash.hpp"

#include <algorithm>
#include <string_view>

#include "caravan/check.hpp"
#include "caravan/checked.hpp"

namespace caravan {
namespace {

constexpr std::string_view kWhat = "activations";

std::size_t aligned(std::size_t bytes) {
  return checked_sum(bytes, Arena::kAlignment - 1, kWhat) / Arena::kAlignment * Arena::kAlignment;
}

}  // namespace

StashLayout::StashLayout(const std::vector<Layer*>& layers, const BatchShape& shape, StashMode mode,
                         std::int64_t width, StageDemand demand)
    : shape_(shape), mode_(mode), demand_(std::move(demand)), layers_(layers.size()) {
  CARAVAN_EXPECT(demand_.recompute.empty() || demand_.recompute.size() == layers.size());
  place_boundaries(width);
  place_ends(width);
  const auto start = next_;
  for (std::size_t index = 0; index < layers.size(); ++index) {
    next_[forward_scratch] = start[forward_scratch];
    next_[backward_scratch] = start[backward_scratch];
    if (mode_ == StashMode::inference) next_[kept] = start[kept];
    if (keeps_input(index))
      next_[recomputed] = 0;
    else
      place_repeated_input(index, width);
    StashPlan plan;
    layers[index]->plan(shape, plan);
    place_entries(index, plan);
    shared_bytes_ = std::max(shared_bytes_, plan.shared_bytes());
  }
}

const LayerRecompute& StashLayout::recompute_of(std::size_t index) const {
  static const LayerRecompute kNothing;
  return demand_.recompute.empty() ? kNothing : demand_.recompute[index];
}

StashLayout::Address StashLayout::take(Region region, DType dtype, const Shape& shape) {
  Address address{dtype, shape, region, next_[region]};
  const std::size_t bytes = checked_product(static_cast<std::size_t>(shape.count()), size_of(dtype), kWhat);
  next_[region] = checked_sum(next_[region], aligned(bytes), kWhat);
  bytes_[region] = std::max(bytes_[region], next_[region]);
  return address;
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
  const Shape shape{shape_.rows(), width};
  const std::size_t inner = layers_.empty() ? 0 : layers_.size() - 1;
  std::vector<Address> activations, gradients;
  for (std::size_t boundary = 0; boundary < inner; ++boundary) {
    const bool reuse = mode_ == StashMode::inference && boundary >= 2;
    if (!keeps_input(boundary + 1))
      activations.emplace_back();
    else
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

void StashLayout::place_ends(std::int64_t width) {
  const Shape shape{shape_.rows(), width};
  if (demand_.has_output) layers_.back().y = take(kept, shape_.compute, shape);
  if (demand_.has_input && mode_ != StashMode::inference)
    layers_.front().dx = take(kept, shape_.compute, shape);
}

void StashLayout::place_repeated_input(std::size_t index, std::int64_t width) {
  CARAVAN_EXPECT(index > 0 && repeats(index) && repeats(index - 1));
  layers_[index].x = layers_[index - 1].y = take(recomputed, shape_.compute, Shape{shape_.rows(), width});
}

void StashLayout::place_entries(std::size_t index, const StashPlan& plan) {
  const bool is_last = index + 1 == layers_.size();
  CARAVAN_EXPECT(!repeats(index) || !is_last || demand_.has_output);  // the head's forward makes gradients
  LayerAddresses& addresses = layers_[index];
  const std::vector<std::string>& keeps = recompute_of(index).keeps;
  addresses.repeats_output = !repeats(index) || (!is_last && !keeps_input(index + 1));
  for (const StashPlan::Declaration& entry : plan.entries()) {
    const bool is_kept =
        entry.section == kKeptSection || std::find(keeps.begin(), keeps.end(), entry.section) != keeps.end();
    addresses.names.push_back(entry.name);
    addresses.repeats.push_back(entry.section == kOutputSection ? addresses.repeats_output : !is_kept);
    addresses.entries.push_back(address_of(index, entry));
  }
}

StashLayout::Address StashLayout::address_of(std::size_t index, const StashPlan::Declaration& entry) {
  const bool backward = entry.lifetime == Lifetime::backward || entry.lifetime == Lifetime::backward_weight;
  if (entry.shape.count() == 0 || (backward && mode_ == StashMode::inference))
    return {entry.dtype, Shape{0}, kept, 0};
  const bool again = repeats(index) && layers_[index].repeats.back() && entry.outlives_forward();
  return take(again ? recomputed : region_of(entry.lifetime), entry.dtype, entry.shape);
}

std::size_t StashLayout::copies(Region region, int in_flight) const {
  if (region == kept || region == deferred) return static_cast<std::size_t>(in_flight);
  return separates() && (region == forward_scratch || region == recomputed) ? 2 : 1;
}

std::size_t StashLayout::total_bytes(int in_flight) const {
  std::size_t bytes = 0;
  for (int region = 0; region < kRegions; ++region)
    bytes = checked_sum(
        bytes, checked_product(copies(static_cast<Region>(region), in_flight), bytes_[region], kWhat), kWhat);
  return bytes;
}

Stash::Stash(Device& device, StashLayout layout, int in_flight)
    : Stash(device, std::move(layout), in_flight, nullptr) {}

Stash::Stash(Device& device, StashLayout layout, const Stash& session)
    : Stash(device, std::move(layout), 1, &session) {}

Stash::Stash(Device& device, StashLayout layout, int in_flight, const Stash* session)
    : layout_(std::move(layout)),
      in_flight_(in_flight),
      memory_(device,
              layout_.total_bytes(in_flight) - (session ? layout_.bytes(StashLayout::session) : 0) +
                  Arena::kAlignment,
              "activations") {
  auto* next = static_cast<char*>(memory_.base());
  for (std::size_t region = 0; region < StashLayout::kRegions; ++region) {
    if (region == StashLayout::session && session) {
      base_[region] = session->base_[region];
      continue;
    }
    base_[region] = next;
    next += layout_.bytes(static_cast<StashLayout::Region>(region)) *
            layout_.copies(static_cast<StashLayout::Region>(region), in_flight);
  }
  device.fill_zero(Lane::compute, memory_.base(), memory_.capacity());  // first touch
  if (layout_.separates()) make_frames(Copy::first_forward);
  make_frames(Copy::backward);
}

void Stash::make_frames(Copy copy) {
  std::vector<std::vector<Frame>>& sets = frames_.emplace_back();
  for (int set = 0; set < in_flight_; ++set) {
    std::vector<Frame>& frames = sets.emplace_back();
    for (std::size_t index = 0; index < layout_.num_layers(); ++index)
      frames.push_back(make_frame(index, set, copy));
  }
}

TensorView Stash::view(const StashLayout::Address& address, int set, Copy copy) const {
  if (address.shape.rank() == 0 || address.shape.count() == 0) return {};
  const std::size_t copies = layout_.copies(address.region, in_flight_);
  const bool per_set = address.region == StashLayout::kept || address.region == StashLayout::deferred;
  const std::size_t which = per_set ? at(set) : copy == Copy::first_forward ? 0 : copies - 1;
  return TensorView(base_[address.region] + address.offset + which * layout_.bytes(address.region),
                    address.dtype, address.shape);
}

void Stash::bind(int set, TensorView input, TensorView output_gradient) {
  for (auto& sets : frames_) {
    sets[at(set)].front().x = input;
    sets[at(set)].back().dy = output_gradient;
  }
}

TensorView Stash::find(std::size_t layer, std::string_view name, int set) const {
  const StashLayout::LayerAddresses& addresses = layout_.layer(layer);
  for (std::size_t entry = 0; entry < addresses.names.size(); ++entry) {
    if (addresses.names[entry] == name) return view(addresses.entries[entry], set, Copy::backward);
  }
  return {};
}

Frame Stash::make_frame(std::size_t index, int set, Copy copy) const {
  const StashLayout::LayerAddresses& addresses = layout_.layer(index);
  const auto viewed = [&](const StashLayout::Address& address) { return view(address, set, copy); };
  Frame frame{viewed(addresses.x), viewed(addresses.y),     viewed(addresses.dx), viewed(addresses.dy), {},
              addresses.repeats,   addresses.repeats_output};
  frame.entries.reserve(addresses.entries.size());
  for (const StashLayout::Address& address : addresses.entries) frame.entries.push_back(viewed(address));
  return frame;
}

}  // namespace caravan
