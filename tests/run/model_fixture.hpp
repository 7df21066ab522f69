#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "caravan/device.hpp"
#include "caravan/registry.hpp"
#include "core/run/executor.hpp"

namespace caravan::testing {

/// Plugins of the build tree and the device "reference". One a process.
Registry& registry();
/// Those of `reference` and `host` that this build has.
std::vector<std::string> devices();
Made<Device> make_device(const std::string& name);

/// How a model under test differs from what its configuration says.
struct ModelSetup {
  std::string device = "reference";
  Device* on = nullptr;                       ///< this device instead; outlives the model
  std::function<void(LayerSpec&)> edit = {};  ///< changes a layer before it is made
  std::size_t slots = 0;                      ///< of the optimizer
  Mesh* mesh = nullptr;                       ///< of the layers' Host; outlives the model
};

/// A model with weights and gradients in memory. Weights are reached by the global names of their parts.
class TestModel {
 public:
  explicit TestModel(const Config& config, const ModelSetup& setup = {});

  Device& device() { return *device_; }
  Stage& stage() { return *stage_; }
  ParameterStore& parameters() { return store_; }
  /// Names of all parts in order of declaration.
  std::vector<std::string> names() const;
  TensorView weight(const std::string& name) const;
  TensorView grad(const std::string& name) const;
  /// Row-major values into a part; their count must fit.
  void set(const std::string& name, std::span<const float> values);
  /// Every gradient, part after part.
  std::vector<float> gradients() const;

 private:
  struct Part {
    Parameter* parameter;
    std::size_t index;
  };
  const Part& part(const std::string& name) const;

  Made<Device> owned_;
  Device* device_;
  ParameterStore store_;
  std::unique_ptr<Stage> stage_;
  std::map<std::string, Part> parts_;
};

/// The elements of a host view in row-major order.
std::vector<float> values(const TensorView& view);
/// Element of a host view by its row-major index; a reference into it.
float& element(const TensorView& view, std::int64_t index);

/// One micro-batch that owns its tokens.
struct TestBatch {
  std::int64_t sequences = 1, length = 1;
  std::vector<std::int32_t> tokens, labels, documents = {};
  std::int64_t first_sample = 0;

  BatchShape shape(Phase phase) const { return {sequences, length, phase}; }
  MicroBatch view(TensorView logits = {}) const {
    return {tokens, labels, documents, TokenMap::whole(first_sample, length), logits};
  }
  std::int64_t valid() const;
};

/// Random tokens; labels are the next token and the last of each sequence is ignored.
TestBatch random_batch(std::int64_t sequences, std::int64_t length, std::int64_t vocabulary,
                       std::uint64_t seed);
/// One micro-batch a sequence.
std::vector<TestBatch> split_sequences(const TestBatch& batch);

/// Rows of a plan for one rank: F0 B0 F1 B1 …; F0 I0 W0 …; F0 F1 ….
std::vector<Step> fused_row(int microbatches);
std::vector<Step> split_row(int microbatches);
std::vector<Step> forward_row(int microbatches);

struct Sums {
  double loss = 0, balance = 0;
};

/// Stash and executor for micro-batches of one shape.
class Walker {
 public:
  Walker(TestModel& model, const BatchShape& shape, StashMode mode, int in_flight = 1);
  Sums run(std::span<const Step> row, std::span<const TestBatch> batches, const StepScales& scales);
  Sums run(std::span<const Step> row, const TestBatch& batch, const StepScales& scales) {
    return run(row, std::span(&batch, 1), scales);
  }
  Executor& executor() { return executor_; }
  Stash& stash() { return stash_; }

 private:
  Stash stash_;
  Executor executor_;
};

struct Evaluation {
  double loss = 0;            ///< mean over the valid labels
  std::vector<float> logits;  ///< [T, V]
};
Evaluation evaluate(TestModel& model, const TestBatch& batch);
/// Forward and backward of one batch; gradients of the mean loss, from zero. Returns the mean loss.
double differentiate(TestModel& model, const TestBatch& batch, std::uint64_t seed = 0);
/// Experts that the layer of the stage chose for each token in the walker's last training forward; empty for
/// other layers.
std::vector<std::int32_t> chosen_experts(TestModel& model, Walker& walker, std::size_t layer);
/// The same after a forward of `batch`.
std::vector<std::int32_t> routes(TestModel& model, const TestBatch& batch, std::size_t layer);

}  // namespace caravan::testing
