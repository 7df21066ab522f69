#include "jobs/bench/synthetic_training.hpp"

#include "jobs/plan/memory_fit.hpp"

namespace caravan::jobs {
namespace {

TrainSetup& initialised(TrainSetup& setup) {
  check_memory_fits(setup);
  setup.model().allocate(ParameterStore::Content::weights_and_gradients, setup.slots().size());
  setup.model().parameters().initialise(setup.job().seed);
  return setup;
}

Config vocabulary_of(TrainSetup& setup) {
  Config vocabulary = Config::map();
  vocabulary.set("vocab_size", std::to_string(setup.whole_model().stage().vocab_size()));
  return vocabulary;
}

}  // namespace

Config job_tree(const SyntheticJob& job) {
  Config tree = Config::map();
  tree.set("model", job.model);
  tree.set("device", job.device);
  tree.override_with("data.source=synthetic");
  const Config& positions = resolve_model(job.model).find("positions");
  const std::int64_t wanted = positions.is_null() ? 2048 : positions.as_int();
  const std::int64_t length = job.sequence_length > 0 ? job.sequence_length : wanted;
  tree.override_with("train.steps=1000000");
  tree.override_with("train.precision=" + job.precision);
  tree.override_with("train.recompute=" + job.recompute);
  tree.override_with("train.sequence_length=" + std::to_string(length));
  tree.override_with("train.local_batch_size=" + std::to_string(job.local_batch));
  tree.override_with("parallel.microbatches=" + std::to_string(job.microbatches));
  return tree;
}

SyntheticTraining::SyntheticTraining(Job job, Communicator& world)
    : world_(world),
      setup_(std::move(job), world),
      data_(initialised(setup_).open_data(vocabulary_of(setup_))),
      reader_(*data_, setup_.share()),
      reducer_(setup_.data_ranks().tensors),
      memory_(setup_.device(), setup_.model(), setup_.pipeline().training, setup_.shape()),
      step_(setup_.step_parts(memory_, reducer_)) {}

void SyntheticTraining::post() {
  const auto batches = reader_.read(posted_ * setup_.share().global_batch);
  step_.post(batches, {++posted_, 1e-4, 1.0, setup_.job().seed, setup_.share().global_batch});
}

double SyntheticTraining::step() {
  const std::size_t lead = setup_.device().memory() == Memory::host ? 0 : 1;
  if (step_.posted() == 0) {
    world_.barrier();
    last_ = std::chrono::steady_clock::now();
  }
  do {
    post();
  } while (step_.posted() <= lead);
  last_result_ = step_.result();
  const auto now = std::chrono::steady_clock::now();
  double elapsed = std::chrono::duration<double>(now - last_).count();
  last_ = now;
  world_.all_reduce(TensorView(&elapsed, DType::f64, {1}), ReduceOp::max);
  return elapsed;
}

void SyntheticTraining::run(int steps) {
  for (int posted = 0; posted < steps; ++posted) {
    if (step_.posted() == TrainStep::kMostPosted) step_.result();
    post();
  }
  while (step_.posted() > 0) step_.result();
}

}  // namespace caravan::jobs
