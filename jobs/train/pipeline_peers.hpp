#pragma once

#include <memory>
#include <vector>

#include "jobs/plan/train_setup.hpp"

namespace caravan::jobs {

/// Brings what the other ranks of a pipeline hold to its first rank, which writes metrics.
/// The first rank knows their stores by making their stages too, without memory.
class PipelinePeers {
 public:
  /// Borrows the setup, whose model is allocated later.
  explicit PipelinePeers(TrainSetup& setup);

  /// The store of a pipeline rank: this rank's own, or on the first rank one without memory.
  ParameterStore& store(int rank);
  int ranks() const { return group_.size(); }
  bool is_first() const { return group_.rank() == 0; }

  /// [collective over the pipeline] On the first rank returns the f32 values that `rank` has in `mine`, in
  /// host memory; `count` is how many. Elsewhere empty.
  std::vector<float> fetch(int rank, const TensorView& mine, std::int64_t count);

 private:
  void send(const TensorView& view);
  TensorView receive(int rank, const Shape& shape);

  TrainSetup& setup_;
  Communicator& group_;
  std::vector<std::unique_ptr<ModelInstance>> others_;  // [rank - 1], on the first rank
  std::vector<float> buffer_;                           // for the largest block of others
};

}  // namespace caravan::jobs
