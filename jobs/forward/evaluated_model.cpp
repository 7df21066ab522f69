#include "jobs/forward/evaluated_model.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "jobs/forward/evaluated_config.hpp"

namespace caravan::jobs {
namespace {

/// Which tokens an expert takes depends on what a sequence is and on how long it is. Masks and positions
/// leave the one open, and rows that are filled up change the other.
void check_capacity(const Config& model, const Sequences& sequences, const Mesh& mesh) {
  const Config& factor = model.find("capacity_factor");
  if (factor.is_null()) return;
  CARAVAN_CHECK(sequences.attended.empty() && sequences.positions.empty(), ConfigError,
                fmt::format("attention_mask or position_ids with model.capacity_factor={} (experts take the "
                            "first tokens of each sequence, and it is not said which those are). Inputs "
                            "without them?",
                            factor.text()));
  CARAVAN_CHECK(
      sequences.length % filled_to(mesh) == 0, ConfigError,
      fmt::format("sequences of {} tokens on {} context and {} tensor ranks with "
                  "model.capacity_factor={} (their rows are filled up to a multiple of {}, and of "
                  "longer sequences an expert takes more). Sequences of {} tokens, or fewer "
                  "ranks?",
                  sequences.length, mesh.degree(MeshAxis::cp), mesh.degree(MeshAxis::tp), factor.text(),
                  filled_to(mesh), (sequences.length / filled_to(mesh) + 1) * filled_to(mesh)));
}

/// What its instance is made from.
Config checked(const Config& model, const Sequences& sequences, const Mesh& mesh) {
  check_capacity(model, sequences, mesh);
  return without_noise(evaluated(model));
}

}  // namespace

EvaluatedModel::EvaluatedModel(const ModelSource& source, Registry& registry, const ComputeOn& where,
                               const Sequences& sequences, Gradients gradients)
    : where_(where),
      sequences_(sequences),
      gradients_(gradients),
      model_(registry, where, source.plugin, checked(source.model, sequences, *where.mesh),
             positions_on(*where.mesh, sequences)) {
  ModelInstance stored(registry, where, source.plugin, evaluated(source.model),
                       model_.positions());  // never allocated
  using Content = ParameterStore::Content;
  model_.allocate(gradients == Gradients::none ? Content::weights : Content::weights_and_gradients, 0);
  load_weights(source, *where_.device, model_.parameters(), stored.parameters());
}

Answers EvaluatedModel::answer(Communicator& world) {
  return jobs::answer(*where_.device, model_, *where_.mesh, world, sequences_, gradients_);
}

}  // namespace caravan::jobs
