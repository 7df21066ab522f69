#pragma once

#include <string>

#include "caravan/model.hpp"
#include "caravan/registry.hpp"
#include "core/run/stage.hpp"

namespace caravan::jobs {

/// A model made from its configuration: the store of its parameters and the layers that declared them.
/// Nothing is allocated until `allocate`. Borrows the registry and the device.
class ModelInstance {
 public:
  /// `device` may be null: for counting and planning only. `positions`: the most positions of a sequence.
  ModelInstance(Registry& registry, Device* device, const std::string& plugin, Config config,
                std::int64_t positions);

  Stage& stage() noexcept { return stage_; }
  ParameterStore& parameters() noexcept { return parameters_; }
  const Model& model() const noexcept { return *model_; }
  std::int64_t positions() const noexcept { return positions_; }
  /// [once] Memory for weights and what else is asked, and the layers' constants.
  void allocate(ParameterStore::Content content, std::size_t optimizer_slots);

 private:
  static Host host_for(Registry& registry, Device* device, ParameterStore& parameters);

  Device* device_;
  std::int64_t positions_;
  ParameterStore parameters_;
  Made<Model> model_;
  Stage stage_;
};

/// "15,017,216 parameters: 524,288 embedding, …"
std::string describe_parameters(const ParameterStore& parameters);

}  // namespace caravan::jobs
