#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/run/train_step.hpp"
#include "tests/run/model_fixture.hpp"

namespace caravan::testing {

/// A model with AdamW, trained by TrainStep on micro-batches of one shape.
class TestTrainer {
 public:
  struct Setup {
    BatchShape shape;
    int microbatches = 1;          ///< of this rank, a step
    Communicator* data = nullptr;  ///< null: this rank alone
    GradientReducer* reducer = nullptr;
    RecomputePlan recompute{};
  };
  /// `model` must have two optimizer slots; borrowed.
  TestTrainer(TestModel& model, const Setup& setup, const Config& optimizer = Config::map());

  StepResult run(std::span<const TestBatch> batches, const TrainStep::Settings& settings);
  StepResult run(std::span<const MicroBatch> batches, const TrainStep::Settings& settings) {
    return step_.run(batches, settings);
  }
  const std::vector<std::vector<float>>& expert_counts() const { return step_.expert_counts(); }
  Stash& stash() { return stash_; }

 private:
  std::unique_ptr<Communicator> alone_;
  Made<Optimizer> optimizer_;
  Stash stash_;
  TrainStep step_;
};

/// The sequences of a step that all layouts train on; labels are ignored unevenly.
std::vector<TestBatch> step_sequences(std::int64_t step, std::int64_t sequences, std::int64_t length);
/// This rank's of them, in order.
std::vector<TestBatch> share_of(const std::vector<TestBatch>& all, const Communicator& ranks);

/// The buffers of the model whose name ends so ("expert_bias"), in layer order.
std::vector<std::vector<float>> buffers_ending(TestModel& model, const std::string& ending);

}  // namespace caravan::testing
