#include "tests/run/model_fixture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "caravan/model.hpp"
#include "caravan/random.hpp"
#include "caravan/reference_device.hpp"
#include "tests/support/plugin_dir.hpp"

namespace caravan::testing {
namespace {

/// The layers of another model, changed one by one.
class EditedModel final : public Model {
 public:
  EditedModel(const Model& model, const std::function<void(LayerSpec&)>& edit)
      : model_(model), layers_(model.layers()) {
    if (!edit) return;
    for (LayerSpec& layer : layers_) edit(layer);
  }
  const std::vector<LayerSpec>& layers() const override { return layers_; }
  std::int64_t vocab_size() const override { return model_.vocab_size(); }
  std::int64_t dim() const override { return model_.dim(); }
  std::int64_t chunk_size() const override { return model_.chunk_size(); }

 private:
  const Model& model_;
  std::vector<LayerSpec> layers_;
};

std::int64_t positions_of(const Config& config) {
  return config.has("positions") ? config.get_int("positions") : 2048;
}

Step action(ActionKind kind, int microbatch) {
  return {{0, kind, microbatch}, {}};
}

template <class Kinds>
std::vector<Step> row_of(int microbatches, const Kinds& kinds) {
  std::vector<Step> row;
  for (int microbatch = 0; microbatch < microbatches; ++microbatch) {
    for (ActionKind kind : kinds) row.push_back(action(kind, microbatch));
  }
  return row;
}

template <class T>
std::vector<T> slice(const std::vector<T>& from, std::int64_t begin, std::int64_t count) {
  if (from.empty()) return {};
  return {from.begin() + begin, from.begin() + begin + count};
}

}  // namespace

Registry& registry() {
  static Registry* const kRegistry = [] {
    // Plugins stay open until the process ends, and so does this.
    auto* made = new Registry({test::plugin_dir(), CARAVAN_TEST_DISPATCHERS});
    made->add(reference_device_component());
    return made;
  }();
  return *kRegistry;
}

std::vector<std::string> devices() {
  std::vector<std::string> result{"reference"};
  const auto known = registry().names("device");
  if (std::find(known.begin(), known.end(), "host") != known.end()) result.push_back("host");
  return result;
}

Made<Device> make_device(const std::string& name) {
  Host host;
  host.registry = &registry();
  return registry().create<Device>(name, host, Config::map());
}

TestModel::TestModel(const Config& config, const ModelSetup& setup)
    : owned_(make_device(setup.device)), device_(setup.on ? setup.on : owned_.get()) {
  Host host;
  host.registry = &registry();
  host.device = device_;
  host.parameters = &store_;
  host.mesh = setup.mesh;
  const auto model = registry().create<Model>("llama4", host, config);
  stage_ = std::make_unique<Stage>(host, EditedModel(*model, setup.edit));
  store_.allocate(*device_, ParameterStore::Content::weights_and_gradients, setup.slots);
  stage_->prepare(*device_, positions_of(config));
  for (const auto& parameter : store_.parameters()) {
    const auto& parts = parameter->spec().parts;
    for (std::size_t index = 0; index < parts.size(); ++index)
      parts_[parts[index].name] = {parameter.get(), index};
  }
}

const TestModel::Part& TestModel::part(const std::string& name) const {
  const auto found = parts_.find(name);
  if (found == parts_.end()) throw std::out_of_range("no parameter part '" + name + "'");
  return found->second;
}

std::vector<std::string> TestModel::names() const {
  std::vector<std::string> names;
  for (const auto& parameter : store_.parameters()) {
    for (const ParameterPart& known : parameter->spec().parts) names.push_back(known.name);
  }
  return names;
}

TensorView TestModel::weight(const std::string& name) const {
  return part(name).parameter->part(part(name).parameter->weight, part(name).index);
}

TensorView TestModel::grad(const std::string& name) const {
  return part(name).parameter->part(part(name).parameter->grad, part(name).index);
}

float& element(const TensorView& view, std::int64_t index) {
  std::int64_t offset = 0;
  for (int axis = view.shape.rank() - 1; axis >= 0; --axis) {
    offset += index % view.extent(axis) * view.stride(axis);
    index /= view.extent(axis);
  }
  return view.as<float>()[offset];
}

std::vector<float> values(const TensorView& view) {
  std::vector<float> result(static_cast<std::size_t>(view.count()));
  for (std::size_t index = 0; index < result.size(); ++index) {
    result[index] = element(view, static_cast<std::int64_t>(index));
  }
  return result;
}

void TestModel::set(const std::string& name, std::span<const float> from) {
  const TensorView to = weight(name);
  if (static_cast<std::int64_t>(from.size()) != to.count()) {
    throw std::out_of_range(fmt::format("{} values for '{}' of {}", from.size(), name, to_string(to.shape)));
  }
  for (std::size_t index = 0; index < from.size(); ++index) {
    element(to, static_cast<std::int64_t>(index)) = from[index];
  }
}

std::vector<float> TestModel::gradients() const {
  std::vector<float> all;
  for (const std::string& name : names()) {
    const auto part_values = values(grad(name));
    all.insert(all.end(), part_values.begin(), part_values.end());
  }
  return all;
}

std::int64_t TestBatch::valid() const {
  return std::count_if(labels.begin(), labels.end(), [](auto label) { return label != kIgnoredLabel; });
}

TestBatch random_batch(std::int64_t sequences, std::int64_t length, std::int64_t vocabulary,
                       std::uint64_t seed) {
  TestBatch batch{sequences, length, {}, {}};
  for (std::int64_t token = 0; token < sequences * length; ++token) {
    const auto bits = philox({seed, hash_name("test tokens")}, 0, static_cast<std::uint64_t>(token));
    batch.tokens.push_back(static_cast<std::int32_t>(bits[0] % static_cast<std::uint64_t>(vocabulary)));
  }
  for (std::int64_t token = 0; token < sequences * length; ++token) {
    const bool last = token % length == length - 1;
    batch.labels.push_back(last ? kIgnoredLabel : batch.tokens[static_cast<std::size_t>(token) + 1]);
  }
  return batch;
}

std::vector<TestBatch> split_sequences(const TestBatch& batch) {
  std::vector<TestBatch> parts;
  for (std::int64_t sequence = 0; sequence < batch.sequences; ++sequence) {
    const std::int64_t begin = sequence * batch.length;
    parts.push_back({1, batch.length, slice(batch.tokens, begin, batch.length),
                     slice(batch.labels, begin, batch.length), slice(batch.documents, begin, batch.length),
                     batch.first_sample + sequence});
  }
  return parts;
}

std::vector<Step> fused_row(int microbatches) {
  return row_of(microbatches, std::vector{ActionKind::forward, ActionKind::backward});
}

std::vector<Step> split_row(int microbatches) {
  return row_of(microbatches,
                std::vector{ActionKind::forward, ActionKind::backward_input, ActionKind::backward_weight});
}

std::vector<Step> forward_row(int microbatches) {
  return row_of(microbatches, std::vector{ActionKind::forward});
}

Walker::Walker(TestModel& model, const BatchShape& shape, StashMode mode, int in_flight)
    : stash_(model.device(), StashLayout(model.stage().layers(), shape, mode, model.stage().width()),
             in_flight),
      executor_(model.device(), model.stage(), stash_) {}

Sums Walker::run(std::span<const Step> row, std::span<const TestBatch> batches, const StepScales& scales) {
  std::vector<MicroBatch> views;
  for (const TestBatch& batch : batches) views.push_back(batch.view());
  executor_.zero_sums();
  executor_.run(row, views, scales, nullptr);
  return {*executor_.sums().loss.as<double>(), *executor_.sums().balance.as<double>()};
}

Evaluation evaluate(TestModel& model, const TestBatch& batch) {
  Walker walker(model, batch.shape(Phase::evaluate), StashMode::inference);
  Evaluation result;
  result.logits.resize(static_cast<std::size_t>(batch.sequences * batch.length * model.stage().vocab_size()));
  MicroBatch view = batch.view();
  view.logits = TensorView(result.logits.data(), DType::f32,
                           {batch.sequences * batch.length, model.stage().vocab_size()});
  walker.executor().forward(view);
  result.loss = *walker.executor().sums().loss.as<double>() / static_cast<double>(batch.valid());
  return result;
}

double differentiate(TestModel& model, const TestBatch& batch, std::uint64_t seed) {
  Walker walker(model, batch.shape(Phase::train), StashMode::fused);
  model.parameters().start_gradients(model.device());
  const double valid = static_cast<double>(batch.valid());
  const Sums sums = walker.run(fused_row(1), batch, {seed, static_cast<float>(1 / valid), 1});
  return sums.loss / valid;
}

std::vector<std::int32_t> chosen_experts(TestModel& model, Walker& walker, std::size_t layer) {
  StashPlan plan;
  model.stage().layers()[layer]->plan(walker.stash().layout().shape(), plan);
  for (std::size_t entry = 0; entry < plan.entries().size(); ++entry) {
    if (plan.entries()[entry].name != "routing.experts") continue;
    const TensorView experts = walker.stash().frame(layer, 0).entries[entry];
    return {experts.as<std::int32_t>(), experts.as<std::int32_t>() + experts.count()};
  }
  return {};
}

std::vector<std::int32_t> routes(TestModel& model, const TestBatch& batch, std::size_t layer) {
  Walker walker(model, batch.shape(Phase::train), StashMode::fused);
  walker.run(forward_row(1), batch, {});
  return chosen_experts(model, walker, layer);
}

}  // namespace caravan::testing
