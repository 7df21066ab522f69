#pragma once

#include <memory>
#include <string>
#include <vector>

#include "caravan/parameter.hpp"
#include "core/run/stage.hpp"

namespace caravan {

/// Parameters that ranks divide together: flat memory in which each begins at a multiple of kAlignment
/// elements, cut into equal stretches. Each rank keeps one stretch of weights, gradients and slots. While
/// layers use the parameters, weights and gradients are whole in a room. Frozen ones are groups of their own,
/// without gradients. Where the axis has one rank its
/// stretch is the whole: it needs no room, and nothing travels. A parameter whose layer sums rows is a group
/// of its own, cut between rows: its gradient is never whole.
struct ParameterGroup {
  static constexpr std::int64_t kAlignment = 64;  ///< elements: 64 bytes also of a type of one byte

  /// At least one parameter. `over`: the axis that it is divided along.
  ParameterGroup(std::string name, std::vector<Parameter*> parameters, MeshAxis over, const Mesh& mesh);

  /// What each of `ranks` keeps of so many elements, gaps included, where it is not cut between rows.
  static std::int64_t share_of(std::int64_t elements, std::int64_t ranks);

  /// Several ranks share it.
  bool is_divided() const { return stretch.size() < elements; }
  /// Gradients are whole for a while, and summed into the stretches.
  bool sums_stretches() const { return is_divided() && !sums_rows && is_trained(); }
  /// Its parameters have gradients; all of them, or none.
  bool is_trained() const { return parameters.front()->is_trained(); }

  std::string name;  ///< "layers.3", "layers.3.experts"
  std::vector<Parameter*> parameters;
  MeshAxis over;
  std::vector<std::int64_t> offsets;  ///< where each parameter begins, in elements
  bool sums_rows = false;             ///< its only parameter does
  std::int64_t used = 0;              ///< up to the end of the last parameter
  std::int64_t elements = 0;          ///< of all stretches
  AxisRange stretch;                  ///< this rank's
  std::vector<AxisRange> cleared;     ///< of `gradients`: what nobody replaces, and the gaps
  int weight_room = 0, gradient_room = 0;
  /// Other groups use the gradients' room too, so every backward ends with a sum into the stretches.
  bool shares_gradient_room = false;
  /// Gradients of all backwards of a step are added up in a room of their own, and the walk of the last one
  /// sums them over the ranks.
  bool sums_in_last_walk = false;

  // Null before allocation. In rooms, or the stretches themselves where that is all: [elements].
  TensorView weights;    ///< of the store's compute type
  TensorView gradients;  ///< f32; [stretch] where rows are summed
  // [stretch]
  TensorView own_weights;    ///< of the store's compute type
  TensorView own_gradients;  ///< f32, summed over the group's ranks
  TensorView sum;            ///< f32, of one more backward; empty where there is one sum a step

 private:
  void find_cleared();
};

/// When groups are gathered.
enum class GatherWhen {
  used,     ///< in walks, ahead of the layers that use them
  planned,  ///< where the plan has UNSHARD
};

/// Which groups take turns in a room, and when they are gathered into it.
struct RoomRule {
  bool weights_take_turns = true, gradients_take_turns = true;
  /// Of gradients that do not take turns: the last walk that adds to them sums them over the ranks. Else
  /// where the plan has REDUCE_GRAD.
  bool sums_in_last_walk = false;
  GatherWhen gathers = GatherWhen::used;
  int prefetch = 1;  ///< groups that are gathered ahead of their use, in walks
};

/// The groups of the stages of a rank: for each block of layers of one name its dense parameters and, apart,
/// its experts; the embedding table; what first and last layer of the model have besides. Where groups take
/// turns it is those of blocks between the first and the last layer. Equal for all ranks of a shard group.
std::vector<ParameterGroup> parameter_groups(const std::vector<std::unique_ptr<Stage>>& stages,
                                             const Mesh& mesh, const RoomRule& rule);

}  // namespace caravan
