#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "caravan/registry.hpp"
#include "core/run/stage.hpp"
#include "core/run/stage_runner.hpp"
#include "core/run/stash.hpp"

namespace caravan::jobs {

/// Micro-batches of random tokens; labels are the next token, the last of each sequence has none.
struct RigBatches {
  std::int64_t sequences = 1, length = 1;
  std::vector<std::vector<std::int32_t>> tokens, labels;  ///< of each micro-batch
  int first = 0;  ///< number of the first of these micro-batches, by which random numbers are drawn

  RigBatches(int microbatches, std::int64_t sequences, std::int64_t length, std::int64_t vocabulary);
  BatchShape shape(DType compute) const;
  std::int64_t valid() const;
};

/// How micro-batches are walked.
struct RigWalk {
  std::vector<Step> row;
  StashMode mode = StashMode::fused;
  int in_flight = 1;
  bool recomputes = false;  ///< the layers under check repeat their forward
};
/// F0 B0 F1 B1 …, with I and W for B where `mode` is split.
RigWalk one_by_one(int microbatches, StashMode mode);
/// F0 F1 … I0 I1 … W0 W1 …: everything is in flight at once.
RigWalk all_in_flight(int microbatches);

/// An embedding, two layers of a kind, and a head, with weights and gradients in host memory: what is needed
/// to call a layer as training does.
class LayerRig {
 public:
  static constexpr std::int64_t kVocabulary = 11;

  /// `keys`: of the layer, with `dim`; the rig adds the name. ConfigError and PluginError as for a job.
  LayerRig(Registry& registry, const std::string& device, const std::string& layer, const Config& keys,
           DType compute = DType::f32);

  struct Result {
    double loss = 0;               ///< mean of the valid labels
    std::vector<float> gradients;  ///< of all parameters, one behind the other
  };
  /// Gradients from zero; those of forwards alone stay zero.
  Result run(const RigWalk& walk, const RigBatches& batches);

  /// Where a parameter's elements are in Result::gradients.
  struct Place {
    std::string name;
    std::size_t begin, end;
  };
  const std::vector<Place>& places() const { return places_; }
  /// Weights of a parameter, which may be written.
  std::vector<float> weights(const Place& place) const;
  void set_weights(const Place& place, const std::vector<float>& values);

 private:
  const Parameter& parameter(const Place& place) const;

  Made<Device> device_;
  ParameterStore store_;
  std::unique_ptr<Stage> stage_;
  std::vector<Place> places_;
  DType compute_;
};

}  // namespace caravan::jobs
