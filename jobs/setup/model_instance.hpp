#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "caravan/mesh.hpp"
#include "caravan/model.hpp"
#include "caravan/registry.hpp"
#include "core/run/sharded_parameters.hpp"
#include "core/run/stage.hpp"

namespace caravan::jobs {

/// Which stages of a pipelined model to make.
struct StageChoice {
  int stages = 1;  ///< of the whole pipeline
  SplitRule rule{};
  std::vector<int> wanted{0};  ///< ascending
};

/// Where a model computes, and in what type.
struct ComputeOn {
  Device* device = nullptr;  ///< null: for counting and planning only
  DType type = DType::f32;
  Mesh* mesh = nullptr;                 ///< null: this rank alone
  std::optional<RoomRule> rooms{};      ///< how ranks of fsdp, and of efsdp, divide the parameters; none: not
  std::vector<std::string> row_sums{};  ///< parameters whose gradients their layers sum, see ParameterStore
  ParameterStore::RuleOf rules{};       ///< how each is updated; none: all alike
};

/// A model made from its configuration, whole or some of its stages: the store of its parameters and the
/// layers that declared them. Nothing is allocated until `allocate`. Borrows the registry, the device and the
/// mesh.
class ModelInstance {
 public:
  /// `positions`: the most positions of a sequence.
  ModelInstance(Registry& registry, const ComputeOn& where, const std::string& plugin, Config config,
                std::int64_t positions, const StageChoice& choice = {});

  /// The only stage of a whole model.
  Stage& stage();
  const std::vector<std::unique_ptr<Stage>>& stages() const noexcept { return stages_; }
  ParameterStore& parameters() noexcept { return parameters_; }
  const Model& model() const noexcept { return *model_; }
  std::int64_t positions() const noexcept { return positions_; }
  /// After allocate(): null where every parameter is whole on this rank.
  ShardedParameters* sharded() noexcept { return sharded_ ? &*sharded_ : nullptr; }
  /// After allocate(): null where no tensor ranks hold parameters alike, or sharded() sums their gradients.
  RepeatedGradients* repeated() noexcept { return repeated_ ? &*repeated_ : nullptr; }
  DType compute() const noexcept { return parameters_.compute(); }
  /// [once] Memory for weights and what else is asked, and the layers' constants.
  void allocate(ParameterStore::Content content, std::size_t optimizer_slots);

 private:
  Device* device_;
  std::int64_t positions_;
  std::unique_ptr<Mesh> alone_;
  Mesh* mesh_;
  std::optional<RoomRule> rooms_;
  ParameterStore parameters_;
  Made<Model> model_;
  std::vector<std::unique_ptr<Stage>> stages_;
  std::optional<ShardedParameters> sharded_;
  std::optional<RepeatedGradients> repeated_;
};

/// Whether ranks keep stretches of the parameters of a model, or of its experts alone, which tensor ranks
/// divide too. `whole`: of all its layers.
bool divides_parameters(const Mesh& mesh, const ParameterStore& whole);

/// Layers of each stage of a model.
std::vector<LayerRange> split_model(const Model& model, int stages, const SplitRule& rule);

/// "15,017,216 parameters: 524,288 embedding, …"
std::string describe_parameters(const ParameterStore& parameters);

}  // namespace caravan::jobs
