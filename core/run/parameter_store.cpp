#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "caravan/checked.hpp"
#include "caravan/parameter.hpp"
#include "core/run/memory_order.hpp"
#include "core/run/parameter_groups.hpp"

namespace caravan {

std::string_view name_of(ParameterKind kind) noexcept {
  constexpr std::string_view kNames[kParameterKinds] = {"embedding", "norm",          "attention", "dense",
                                                        "router",    "shared_expert", "expert",    "head"};
  return kNames[static_cast<std::size_t>(kind)];
}

ParameterSpec ParameterSpec::whole(std::string name, Shape shape, ParameterKind kind, Initial initial,
                                   std::vector<Cut> cuts) {
  ParameterSpec spec{name, shape, kind, 0, {}, {std::move(cuts)}};
  spec.parts.push_back({std::move(name), shape[0], initial});
  return spec;
}

namespace {

/// Beyond it sums of bytes over a model's parameters would not fit 64 bits. A parameter may be several
/// projections beside each other, each of kMostElements.
void check_size(const ParameterSpec& spec) {
  std::int64_t elements = 1;
  for (int axis = 0; axis < spec.shape.rank(); ++axis) {
    CARAVAN_CHECK(
        !__builtin_mul_overflow(elements, spec.shape[axis], &elements) && elements <= 4 * kMostElements,
        ConfigError,
        fmt::format("parameter '{}' would be {} (more than {} elements). Smaller sizes in the model?",
                    spec.name, to_string(spec.shape), 4 * kMostElements));
  }
}

}  // namespace

ParameterStore::ParameterStore(DType compute, const Mesh* mesh) : compute_(compute), mesh_(mesh) {}
ParameterStore::~ParameterStore() = default;

Parameter& ParameterStore::declare(ParameterSpec spec) {
  check_size(spec);
  std::int64_t extent = 0;
  for (const ParameterPart& part : spec.parts) extent += part.extent;
  CARAVAN_EXPECT(extent == spec.shape[spec.part_axis]);
  for (const auto& known : parameters_) {
    if (known->spec().name != spec.name) continue;
    CARAVAN_CHECK(known->spec().shape == spec.shape, ConfigError,
                  fmt::format("parameter '{}' is declared as {} and as {} (tied weights need one shape)",
                              spec.name, to_string(known->spec().shape), to_string(spec.shape)));
    ++known->uses;
    return *known;
  }
  parameters_.push_back(std::make_unique<Parameter>(std::move(spec), mesh_));
  parameters_.back()->uses = 1;
  fragments_.push_back({parameters_.back().get(), 0, parameters_.back()->shape().count(), {}, {}, {}, {}});
  return *parameters_.back();
}

Buffer& ParameterStore::declare_buffer(std::string name, Shape shape, Buffer::Role role) {
  for (const auto& known : buffers_) {
    if (known->name == name && known->shape == shape) return *known;
  }
  buffers_.push_back(std::make_unique<Buffer>(Buffer{std::move(name), shape, role, {}, false}));
  return *buffers_.back();
}

void ParameterStore::set_rules(const RuleOf& rule_of) {
  CARAVAN_EXPECT(!groups_ && arenas_.empty());
  for (const auto& parameter : parameters_) {
    parameter->rule_ = rule_of(parameter->spec());
    CARAVAN_CHECK(
        parameter->is_trained() || parameter->freezing_is_offered(), ConfigError,
        fmt::format(
            "parameter '{}' cannot be frozen, as {} asks (a layer that uses it does not promise by "
            "offers_freezing() to ask is_trained() before it makes a gradient). Another layer, or the "
            "promise in its code (docs/sdk.md)?",
            parameter->spec().name, parameter->rule_.as_base ? "model.lora" : "optimizer.groups"));
  }
}

void ParameterStore::sum_rows_of(std::span<const std::string> names) {
  for (const auto& parameter : parameters_) {
    if (std::find(names.begin(), names.end(), parameter->spec().name) == names.end()) continue;
    CARAVAN_EXPECT(parameter->can_sum_rows() && !groups_);
    parameter->sums_rows_ = true;
  }
}

std::int64_t ParameterStore::count() const {
  std::int64_t total = 0;
  for (const auto& parameter : parameters_) total += parameter->spec().shape.count();
  return total;
}

std::int64_t ParameterStore::count(ParameterKind kind) const {
  std::int64_t total = 0;
  for (const auto& parameter : parameters_) {
    if (parameter->spec().kind == kind) total += parameter->spec().shape.count();
  }
  return total;
}

ParameterStore::Memory ParameterStore::memory(Content content, std::size_t slots) const {
  Memory need = groups_ ? memory_of_groups(content) : memory_of_wholes(content);
  for (std::size_t slot = 0; slot < slots; ++slot) need.slots += slot_bytes(slot);
  Arena buffers = Arena::measuring("buffers");
  for (const auto& buffer : buffers_) buffers.take(DType::f32, buffer->shape);
  need.buffers = buffers.used();
  return need;
}

ParameterStore::Memory ParameterStore::memory_of_wholes(Content content) const {
  Arena weights = Arena::measuring("weights"), f32 = Arena::measuring("f32");
  for (const auto& parameter : parameters_) {
    weights.take(compute_, parameter->shape());
    if (parameter->is_trained()) f32.take(DType::f32, parameter->shape());
  }
  const bool trains = content == Content::weights_and_gradients;
  return {.weights = weights.used(),
          .masters = trains && compute_ != DType::f32 ? f32.used() : 0,
          .gradients = trains ? f32.used() : 0};
}

std::size_t ParameterStore::slot_bytes(std::size_t slot) const {
  if (groups_) return slot_bytes_of_groups(slot);
  Arena arena = Arena::measuring("slot");
  for (const auto& parameter : parameters_)
    if (parameter->keeps(slot)) arena.take(DType::f32, parameter->shape());
  return arena.used();
}

std::vector<Fragment*> ParameterStore::in_memory_order() {
  std::vector<Fragment*> all;
  for (Fragment& fragment : fragments_) all.push_back(&fragment);
  std::stable_sort(all.begin(), all.end(), [](const auto* a, const auto* b) {
    return memory_order(*a->parameter) < memory_order(*b->parameter);
  });
  return all;
}

Arena& ParameterStore::open(std::size_t bytes, std::string name) {
  arenas_.emplace_back(*device_, bytes, std::move(name));
  if (bytes > 0) device_->fill_zero(Lane::compute, arenas_.back().base(), bytes);
  return arenas_.back();
}

namespace {

TensorView flat(const TensorView& tensor) {
  return tensor.reshape({tensor.count()});
}

}  // namespace

void ParameterStore::place_weights(const Memory& need) {
  Arena& weights = open(need.weights, "weights");
  for (Fragment* fragment : in_memory_order()) {
    TensorView& weight = fragment->parameter->weight;
    weight = weights.take(compute_, fragment->parameter->shape());
    fragment->weight = flat(weight);
    if (compute_ == DType::f32) fragment->master = fragment->weight;
  }
  if (need.masters == 0) return;
  Arena& masters = open(need.masters, "master weights");
  for (Fragment* fragment : in_memory_order())
    if (fragment->parameter->is_trained()) fragment->master = masters.take(DType::f32, {fragment->count()});
}

void ParameterStore::place_gradients(Arena& arena) {
  for (Fragment* fragment : in_memory_order()) {
    if (!fragment->parameter->is_trained()) continue;
    TensorView& grad = fragment->parameter->grad;
    grad = arena.take(DType::f32, fragment->parameter->shape());
    fragment->grad = flat(grad);
    if (!fragment->parameter->gradient_is_replaced()) cleared_bytes_ = arena.used();
  }
  all_gradients_ =
      TensorView(arena.base(), DType::f32, Shape{static_cast<std::int64_t>(arena.used() / sizeof(float))});
}

void ParameterStore::place_slot(Arena& arena, std::size_t slot) {
  for (Fragment* fragment : in_memory_order()) {
    const bool keeps = fragment->parameter->keeps(slot);
    fragment->slots.push_back(keeps ? arena.take(DType::f32, {fragment->count()}) : TensorView{});
  }
}

void ParameterStore::allocate(Device& device, Content content, std::size_t slots) {
  CARAVAN_EXPECT(arenas_.empty());
  device_ = &device;
  const Memory need = memory(content, slots);
  arenas_.reserve(slots + 6);
  groups_ ? place_group_weights(need) : place_weights(need);
  if (content == Content::weights_and_gradients)
    groups_ ? place_group_gradients(need) : place_gradients(open(need.gradients, "gradients"));
  for (std::size_t slot = 0; slot < slots; ++slot) {
    Arena& arena = open(slot_bytes(slot), fmt::format("optimizer slot {}", slot));
    groups_ ? place_group_slot(arena, slot) : place_slot(arena, slot);
  }
  Arena& buffers = open(need.buffers, "buffers");
  for (const auto& buffer : buffers_) buffer->data = buffers.take(DType::f32, buffer->shape);
}

void ParameterStore::start_gradients(Device& device) {
  if (groups_) return;
  for (const auto& parameter : parameters_) parameter->stale_ = parameter->gradient_is_replaced();
  device.fill_zero(Lane::compute, all_gradients_.data, cleared_bytes_);
}

void ParameterStore::finish_gradients(Device& device) {
  if (groups_) return;
  for (const auto& parameter : parameters_) finish_gradient(device, *parameter);
}

void ParameterStore::finish_gradient(Device& device, Parameter& parameter) {
  if (parameter.begin_sum() == Accumulate::replace)
    device.fill_zero(Lane::compute, parameter.grad.data, parameter.grad.bytes());
}

}  // namespace caravan
