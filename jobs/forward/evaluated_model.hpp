#pragma once

#include "jobs/forward/forward_pass.hpp"
#include "jobs/state/model_source.hpp"

namespace caravan::jobs {

/// A stored model with evaluation semantics, whatever it was trained with: no dropout, noise or balance loss.
/// Borrows the registry, what `where` names, and the sequences.
class EvaluatedModel {
 public:
  /// Reads the weights. ConfigError where experts have a capacity that these sequences, or the ranks of
  /// `where`, leave open; IoError for weights that do not fit.
  EvaluatedModel(const ModelSource& source, Registry& registry, const ComputeOn& where,
                 const Sequences& sequences, Gradients gradients);

  /// [collective over world]
  Answers answer(Communicator& world);
  ModelInstance& instance() noexcept { return model_; }

 private:
  ComputeOn where_;
  const Sequences& sequences_;
  Gradients gradients_;
  ModelInstance model_;
};

}  // namespace caravan::jobs
