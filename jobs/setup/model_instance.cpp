#include "jobs/setup/model_instance.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

Config with_positions(Config config, std::int64_t positions) {
  config.set("positions", std::to_string(positions));
  return config;
}

}  // namespace

Host ModelInstance::host_for(Registry& registry, Device* device, ParameterStore& parameters) {
  Host host;
  host.registry = &registry;
  host.device = device;
  host.parameters = &parameters;
  return host;
}

ModelInstance::ModelInstance(Registry& registry, Device* device, const std::string& plugin, Config config,
                             std::int64_t positions)
    : device_(device),
      positions_(positions),
      model_(registry.create<Model>(plugin, host_for(registry, device, parameters_),
                                    with_positions(std::move(config), positions))),
      stage_(host_for(registry, device, parameters_), *model_) {}

void ModelInstance::allocate(ParameterStore::Content content, std::size_t optimizer_slots) {
  CARAVAN_EXPECT(device_ != nullptr);
  parameters_.allocate(*device_, content, optimizer_slots);
  stage_.prepare(*device_, positions_);
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
