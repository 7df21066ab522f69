#include "jobs/check/layer_rig.hpp"

#include <algorithm>

#include "caravan/check.hpp"
#include "caravan/random.hpp"
#include "core/run/executor.hpp"
#include "jobs/check/rig_model.hpp"

namespace caravan::jobs {
namespace {

constexpr std::uint64_t kSeed = 17;

Step action(ActionKind kind, int microbatch) {
  return {{0, kind, microbatch}, {}};
}

/// Away from zeros and ones, at which a gradient may vanish or be right by chance.
void draw_weights(ParameterStore& store) {
  store.initialise(kSeed);
  for (const Fragment& fragment : store.fragments()) {
    store.set(fragment, [&](const TensorView& values) {
      const RandomKey key{kSeed, hash_name(fragment.parameter->spec().name)};
      const auto all = std::span(values.as<float>(), static_cast<std::size_t>(values.count()));
      for (std::size_t i = 0; i < all.size(); ++i) all[i] += 0.1f * normal(key, 4, i);
    });
  }
}

}  // namespace

RigBatches::RigBatches(int microbatches, std::int64_t sequences_, std::int64_t length_,
                       std::int64_t vocabulary)
    : sequences(sequences_), length(length_) {
  for (int batch = 0; batch < microbatches; ++batch) {
    std::vector<std::int32_t> drawn;
    for (std::int64_t i = 0; i < sequences * length; ++i) {
      const auto bits = philox({kSeed, hash_name("tokens")}, static_cast<std::uint64_t>(batch),
                               static_cast<std::uint64_t>(i));
      drawn.push_back(static_cast<std::int32_t>(bits[0] % static_cast<std::uint64_t>(vocabulary)));
    }
    std::vector<std::int32_t> next(drawn.begin() + 1, drawn.end());
    next.push_back(drawn.front());
    for (std::size_t last = static_cast<std::size_t>(length) - 1; length > 1 && last < next.size();
         last += static_cast<std::size_t>(length))
      next[last] = kIgnoredLabel;
    tokens.push_back(std::move(drawn));
    labels.push_back(std::move(next));
  }
}

BatchShape RigBatches::shape(DType compute) const {
  BatchShape shape{sequences, length, Phase::train};
  shape.compute = compute;
  return shape;
}

std::int64_t RigBatches::valid() const {
  std::int64_t count = 0;
  for (const auto& batch : labels)
    count += std::ranges::count_if(batch, [](auto l) { return l != kIgnoredLabel; });
  return count;
}

RigWalk one_by_one(int microbatches, StashMode mode) {
  RigWalk walk{.row = {}, .mode = mode};
  for (int batch = 0; batch < microbatches; ++batch) {
    walk.row.push_back(action(ActionKind::forward, batch));
    if (mode == StashMode::fused) {
      walk.row.push_back(action(ActionKind::backward, batch));
      continue;
    }
    walk.row.push_back(action(ActionKind::backward_input, batch));
    walk.row.push_back(action(ActionKind::backward_weight, batch));
  }
  return walk;
}

RigWalk all_in_flight(int microbatches) {
  RigWalk walk{.row = {}, .mode = StashMode::split, .in_flight = microbatches};
  for (const ActionKind kind : {ActionKind::forward, ActionKind::backward_input, ActionKind::backward_weight})
    for (int batch = 0; batch < microbatches; ++batch) walk.row.push_back(action(kind, batch));
  return walk;
}

LayerRig::LayerRig(Registry& registry, const std::string& device, const std::string& layer,
                   const Config& keys, DType compute)
    : device_(registry.create<Device>(device, Host::of(registry), Config::map())),
      store_(compute),
      compute_(compute) {
  stage_ =
      std::make_unique<Stage>(Host::of(registry, device_.get(), &store_), RigModel(layer, keys, kVocabulary));
  store_.allocate(*device_, ParameterStore::Content::weights_and_gradients, 0);
  stage_->prepare(*device_, 2048);
  draw_weights(store_);
  std::size_t at = 0;
  for (const auto& parameter : store_.parameters()) {
    const auto count = static_cast<std::size_t>(parameter->shape().count());
    places_.push_back({parameter->spec().name, at, at + count});
    at += count;
  }
}

const Parameter& LayerRig::parameter(const Place& place) const {
  return **std::ranges::find_if(store_.parameters(),
                                [&](const auto& p) { return p->spec().name == place.name; });
}

std::vector<float> LayerRig::weights(const Place& place) const {
  const float* from = parameter(place).weight.as<float>();
  return {from, from + (place.end - place.begin)};
}

void LayerRig::set_weights(const Place& place, const std::vector<float>& values) {
  std::ranges::copy(values, parameter(place).weight.as<float>());
}

LayerRig::Result LayerRig::run(const RigWalk& walk, const RigBatches& batches) {
  StageDemand demand;
  if (walk.recomputes) {
    demand.recompute.resize(stage_->layers().size());
    for (int i = 1; i <= RigModel::kLayers; ++i) demand.recompute[static_cast<std::size_t>(i)].repeats = true;
  }
  Stash stash(*device_,
              StashLayout(stage_->layers(), batches.shape(compute_), walk.mode, stage_->width(), demand),
              walk.in_flight);
  Executor executor(*device_, *stage_, stash);
  std::vector<MicroBatch> views;
  for (std::size_t batch = 0; batch < batches.tokens.size(); ++batch)
    views.push_back({batches.tokens[batch],
                     batches.labels[batch],
                     {},
                     TokenMap::whole((batches.first + static_cast<std::int64_t>(batch)) * batches.sequences,
                                     batches.length),
                     {},
                     {}});
  const double valid = static_cast<double>(batches.valid());
  const auto sequences = static_cast<float>(batches.sequences * std::ssize(batches.tokens));
  store_.start_gradients(*device_);
  executor.zero_sums();
  executor.run(walk.row, views, {kSeed, static_cast<float>(1 / valid), 1 / sequences}, nullptr);
  store_.finish_gradients(*device_);
  device_->synchronize();
  Result result{(*executor.sums().loss.as<double>()) / valid + *executor.sums().balance.as<double>(), {}};
  for (const auto& parameter : store_.parameters()) {
    const float* grad = parameter->grad.as<float>();
    result.gradients.insert(result.gradients.end(), grad, grad + parameter->shape().count());
  }
  return result;
}

}  // namespace caravan::jobs
