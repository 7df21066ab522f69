#include "jobs/setup/model_instance.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "jobs/setup/host_memory.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

Config with_positions(Config config, std::int64_t positions) {
  config.set("positions", std::to_string(positions));
  return config;
}

}  // namespace

bool divides_parameters(const Mesh& mesh, const ParameterStore& whole) {
  const bool has_experts = whole.count(ParameterKind::expert) > 0;
  return mesh.degree(MeshAxis::fsdp) > 1 || (has_experts && mesh.degree(MeshAxis::efsdp) > 1);
}

std::vector<LayerRange> split_model(const Model& model, int stages, const SplitRule& rule) {
  std::vector<std::string> names;
  for (const LayerSpec& layer : model.layers()) names.push_back(layer.name);
  return split_layers(names, stages, rule);
}

ModelInstance::ModelInstance(Registry& registry, const ComputeOn& where, const std::string& plugin,
                             Config config, std::int64_t positions, const StageChoice& choice)
    : device_(where.device),
      positions_(positions),
      alone_(where.mesh ? nullptr : make_paper_mesh(MeshLayout({}, 1), 0)),
      mesh_(where.mesh ? where.mesh : alone_.get()),
      rooms_(where.rooms),
      parameters_(where.type, mesh_),
      model_(registry.create<Model>(plugin, Host::of(registry, device_, &parameters_, mesh_),
                                    with_positions(std::move(config), positions))) {
  const std::vector<LayerRange> ranges = split_model(*model_, choice.stages, choice.rule);
  for (int index : choice.wanted) {
    stages_.push_back(std::make_unique<Stage>(Host::of(registry, device_, &parameters_, mesh_), *model_,
                                              ranges[static_cast<std::size_t>(index)]));
  }
  if (where.rules) parameters_.set_rules(where.rules);
  parameters_.sum_rows_of(where.row_sums);
  if (rooms_) parameters_.divide(parameter_groups(stages_, *mesh_, *rooms_));
}

Stage& ModelInstance::stage() {
  CARAVAN_EXPECT(stages_.size() == 1);
  return *stages_.front();
}

void ModelInstance::allocate(ParameterStore::Content content, std::size_t optimizer_slots) {
  CARAVAN_EXPECT(device_ != nullptr);
  check_room(
      *device_, parameters_.memory(content, optimizer_slots).total(),
      fmt::format("a model of {} parameters and {} positions", with_commas(parameters_.count()), positions_),
      "A smaller model, more ranks, or fewer positions?");
  parameters_.allocate(*device_, content, optimizer_slots);
  if (rooms_)
    sharded_.emplace(*device_, parameters_, *mesh_, stages_, *rooms_);
  else if (mesh_->degree(MeshAxis::tp) > 1)
    repeated_.emplace(*mesh_);
  for (const auto& stage : stages_) stage->prepare(*device_, positions_);
}

std::string describe_parameters(const ParameterStore& parameters) {
  std::string text = with_commas(parameters.count()) + " parameters:";
  for (int index = 0; index < kParameterKinds; ++index) {
    const auto kind = static_cast<ParameterKind>(index);
    if (const std::int64_t count = parameters.count(kind); count > 0) {
      text += fmt::format(" {} {},", with_commas(count), name_of(kind));
    }
  }
  text.pop_back();
  return text;
}

}  // namespace caravan::jobs
