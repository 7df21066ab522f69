#include "jobs/train/training_steps.hpp"

#include "jobs/plan/memory_fit.hpp"

namespace caravan::jobs {
namespace {

/// Memory first, so that what follows may read and write tensors.
TrainSetup& allocated(TrainSetup& setup) {
  check_memory_fits(setup);
  setup.model().allocate(ParameterStore::Content::weights_and_gradients, setup.slots().size());
  return setup;
}

}  // namespace

TrainingSteps::TrainingSteps(TrainSetup& setup, DataSource& source, Whereabouts* whereabouts)
    : setup_(allocated(setup)),
      reader_(source, setup.share()),
      reducer_(setup.mesh().group(MeshAxis::dp_replicate).tensors),
      memory_(setup.device(), setup.model(), setup.pipeline().training, setup.shape()),
      step_(setup.step_parts(memory_, reducer_, whereabouts)) {}

void TrainingSteps::post(std::span<const MicroBatch> batches, std::int64_t number) {
  const Job& job = setup_.job();
  step_.post(batches, {.step = number,
                       .lr = job.train.lr.at(number),
                       .max_norm = job.train.max_norm,
                       .seed = job.seed,
                       .global_sequences = setup_.share().global_batch});
}

}  // namespace caravan::jobs
