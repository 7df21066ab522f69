#include "jobs/plan/section_costs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "caravan/bf16.hpp"
#include "caravan/checked.hpp"
#include "caravan/random.hpp"
#include "core/run/stage_runner.hpp"
#include "jobs/setup/host_memory.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

constexpr int kRepeats = 5;
constexpr std::uint64_t kSeed = 1;

/// Normal values in the type of `to`.
void fill_random(Device& device, TensorView to) {
  const auto count = static_cast<std::size_t>(to.count());
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = normal({kSeed, hash_name("rows")}, 0, i);
  if (to.dtype == DType::f32) {
    device.copy_from_host(Lane::compute, to.data, values.data(), to.bytes());
  } else {
    std::vector<std::uint16_t> rounded(count);
    std::transform(values.begin(), values.end(), rounded.begin(), to_bf16);
    device.copy_from_host(Lane::compute, to.data, rounded.data(), to.bytes());
  }
  device.synchronize();
}

/// One layer with weights and activations of its own, whose forward can run section by section.
class LayerTimer {
 public:
  LayerTimer(Registry& registry, Device& device, ModelInstance& model, int index, const BatchShape& shape)
      : device_(device),
        store_(shape.compute),
        stage_(Host::of(registry, &device, &store_), model.model(), {index, index + 1}),
        stash_(device, layout(shape), 1),
        memory_(device, stash_.output(0).bytes() + StepSums::kBytes + Arena::kAlignment,
                "rows of a measured layer"),
        runner_(device, allocated(model.positions()), stash_, StepSums(memory_)) {
    const TensorView rows = memory_.take(shape.compute, stash_.output(0).shape);
    fill_random(device, rows);
    stash_.bind(0, rows, {});
    const MicroBatch batch{.token_map = TokenMap::whole(0, shape.length)};
    runner_.load(batch, 0, {kSeed}, Pass::first);
    forward();
    runner_.load(batch, 0, {kSeed}, Pass::recomputation);
  }

  /// Median of some forwards that do nothing else.
  double seconds(const std::string& section) {
    Frame& frame = stash_.frame(0, 0);
    StashPlan plan;
    stage_.layers().front()->plan(stash_.layout().shape(), plan);
    for (std::size_t entry = 0; entry < plan.entries().size(); ++entry)
      frame.repeats[entry] = plan.entries()[entry].section == section;
    frame.repeats_output = section == kOutputSection;
    forward();
    std::vector<double> times;
    for (int repeat = 0; repeat < kRepeats; ++repeat) times.push_back(forward());
    std::sort(times.begin(), times.end());
    return times[kRepeats / 2];
  }

 private:
  StashLayout layout(const BatchShape& shape) const {
    StashLayout layout(stage_.layers(), shape, StashMode::fused, stage_.width(),
                       {true, true, false, {{true}}});
    const std::size_t weights = store_.memory(ParameterStore::Content::weights, 0).total();
    check_room(device_, checked_sum(weights, layout.total_bytes(1), "a measured layer"),
               "measuring a layer for train.recompute.budget",
               "Smaller train.local_batch_size or train.sequence_length, or another train.recompute?");
    return layout;
  }
  Stage& allocated(std::int64_t positions) {
    store_.allocate(device_, ParameterStore::Content::weights, 0);
    store_.initialise(kSeed);
    stage_.prepare(device_, positions);
    return stage_;
  }
  double forward() {
    const auto start = std::chrono::steady_clock::now();
    runner_.cursor(ActionKind::forward, 0, nullptr).finish();
    device_.synchronize();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  Device& device_;
  ParameterStore store_;
  Stage stage_;
  Stash stash_;
  Arena memory_;
  StageRunner runner_;
};

}  // namespace

std::vector<LayerSection> sections_of(Layer& layer, const BatchShape& shape) {
  StashPlan plan;
  layer.plan(shape, plan);
  std::vector<LayerSection> sections;
  for (const StashPlan::Declaration& entry : plan.entries()) {
    const std::size_t bytes = static_cast<std::size_t>(entry.shape.count()) * size_of(entry.dtype);
    if (!entry.outlives_forward() || bytes == 0 || entry.section == kKeptSection) continue;
    const auto known = std::find_if(sections.begin(), sections.end(), [&](const LayerSection& section) {
      return section.name == entry.section;
    });
    if (known == sections.end())
      sections.push_back({entry.section, bytes});
    else
      known->bytes += bytes;
  }
  return sections;
}

SectionCosts::SectionCosts(Registry& registry, Device& device, ModelInstance& model, const BatchShape& shape,
                           Communicator& world)
    : shape_(shape) {
  const std::vector<Layer*>& layers = model.stage().layers();
  for (std::size_t index = 1; index + 1 < layers.size(); ++index) {
    const auto [kind, is_new] = kinds_.try_emplace(kind_of(*layers[index]));
    if (!is_new) continue;
    kind->second = measure(registry, device, model, static_cast<int>(index), world);
    const LayerSpec& spec = model.model().layers()[index];
    text_ += fmt::format("  {} of {}\n", spec.plugin, spec.name);
    for (const LayerSection& section : sections_of(*layers[index], shape)) {
      text_ +=
          fmt::format("    {:<26}{:>12}{:>10.3f} ms\n", section.name,
                      bytes_text(static_cast<double>(section.bytes)), 1e3 * kind->second.at(section.name));
    }
    text_ += fmt::format("    {:<26}{:>12}{:>10.3f} ms\n", kOutputSection, "",
                         1e3 * kind->second.at(std::string(kOutputSection)));
  }
}

SectionCosts::Sections SectionCosts::measure(Registry& registry, Device& device, ModelInstance& model,
                                             int index, Communicator& world) const {
  // Of the whole layer, without the ranks that it is cut among: what is chosen by depends on ratios alone.
  LayerTimer timer(registry, device, model, index, shape_.alone());
  Sections sections;
  const double nothing = timer.seconds("");  // posting and waiting
  for (const LayerSection& section :
       sections_of(*model.stage().layers()[static_cast<std::size_t>(index)], shape_))
    sections[section.name] = timer.seconds(section.name);
  sections[std::string(kOutputSection)] = timer.seconds(std::string(kOutputSection));
  for (auto& [section, seconds] : sections) {
    seconds = std::max(seconds - nothing, 0.0);
    world.all_reduce(TensorView(&seconds, DType::f64, {1}), ReduceOp::max);
  }
  return sections;
}

double SectionCosts::seconds(Layer& layer, const std::string& section) const {
  return kinds_.at(kind_of(layer)).at(section);
}

std::string SectionCosts::kind_of(Layer& layer) const {
  StashPlan plan;
  layer.plan(shape_, plan);
  std::string kind = fmt::format("{}", layer.forward_flops(shape_));
  for (const StashPlan::Declaration& entry : plan.entries())
    kind += fmt::format(" {}{}", entry.name, to_string(entry.shape));
  return kind;
}

}  // namespace caravan::jobs
