#include "jobs/bench/synthetic_training.hpp"

#include "caravan/check.hpp"

namespace caravan::jobs {
namespace {

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
  for (const char* constant_rate : {"train.lr=1e-4", "train.warmup_steps=0", "train.decay_ratio=0"})
    tree.override_with(constant_rate);
  tree.override_with("train.precision=" + job.precision);
  tree.override_with("train.recompute=" + job.recompute);
  tree.override_with("train.sequence_length=" + std::to_string(length));
  tree.override_with("train.local_batch_size=" + std::to_string(job.local_batch));
  tree.override_with("parallel.microbatches=" + std::to_string(job.microbatches));
  for (const std::string& assignment : job.parallel) {
    CARAVAN_CHECK(job.microbatches == 1 || !assignment.starts_with("microbatches="), ConfigError,
                  "--microbatches " + std::to_string(job.microbatches) + " with --parallel " + assignment +
                      " (both say how many). One of the two?");
    tree.override_with("parallel." + assignment);
  }
  return tree;
}

SyntheticTraining::SyntheticTraining(Job job, Communicator& world)
    : world_(world),
      setup_(std::move(job), world),
      data_(setup_.open_data(vocabulary_of(setup_))),
      steps_(setup_, *data_) {
  setup_.model().parameters().initialise(setup_.job().seed);
}

void SyntheticTraining::post() {
  const auto batches = steps_.read(posted_ * setup_.share().global_batch);
  steps_.post(batches, ++posted_);
}

double SyntheticTraining::step() {
  TrainStep& steps = steps_.step();
  if (steps.posted() == 0) {
    world_.barrier();
    last_ = std::chrono::steady_clock::now();
  }
  do {
    post();
  } while (steps.posted() <= steps_.lead());
  last_result_ = steps.result();
  const auto now = std::chrono::steady_clock::now();
  double elapsed = std::chrono::duration<double>(now - last_).count();
  last_ = now;
  world_.all_reduce(TensorView(&elapsed, DType::f64, {1}), ReduceOp::max);
  return elapsed;
}

void SyntheticTraining::run(int steps) {
  TrainStep& step = steps_.step();
  for (int posted = 0; posted < steps; ++posted) {
    if (step.posted() == TrainStep::kMostPosted) step.result();
    post();
  }
  while (step.posted() > 0) step.result();
}

}  // namespace caravan::jobs
