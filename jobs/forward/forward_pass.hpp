#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/comm.hpp"
#include "core/run/executor.hpp"
#include "jobs/forward/inputs.hpp"
#include "jobs/setup/model_instance.hpp"

namespace caravan::jobs {

/// What a model says of sequences, whole on every rank; 0 at masked tokens.
struct Answers {
  std::vector<float> logits;  ///< [B·T, V]
  double loss = 0;            ///< mean over the labels that count
  struct Router {
    std::string layer;  ///< "layers.3"
    std::int64_t experts = 0;
    std::vector<float> scores;  ///< [B·T, E], 0 where not selected
  };
  std::vector<Router> routers;
};

enum class Gradients { none, of_mean_loss };

/// Rows of a run are filled up to a multiple of this: each block of a sequence on context ranks then has as
/// many, and each tensor rank of a context rank too.
std::int64_t filled_to(const Mesh& mesh);

/// The most positions that sequences need a model on `mesh` to have, with the rows that ranks fill up.
std::int64_t positions_on(const Mesh& mesh, const Sequences& sequences);

/// [collective over world] Runs every sequence through the model, piece by piece (see pieces_of), outside
/// training (no dropout, noise or counting). The model, made on `mesh`, must have positions_on(mesh,
/// sequences). With gradients the store holds this rank's slices of dL/dw of the mean loss, summed over
/// ranks; it must have been allocated for it.
Answers answer(Device& device, ModelInstance& model, Mesh& mesh, Communicator& world,
               const Sequences& sequences, Gradients gradients);

}  // namespace caravan::jobs
