#pragma once

#include <vector>

#include "io/checkpoint/snapshot.hpp"
#include "jobs/train/setup.hpp"
#include "jobs/train/state_tensors.hpp"

namespace caravan::jobs {

/// What this rank stores of the run's lasting state, and where it is. Pipeline ranks store what they own, and
/// data ranks, which hold the same, divide it among them. A share that is made before the model is allocated
/// knows its pieces only.
class CheckpointShare {
 public:
  explicit CheckpointShare(TrainSetup& setup);

  const std::vector<io::Piece>& pieces() const noexcept { return pieces_; }
  /// The elements of a piece in host memory, until the next call.
  TensorView elements(std::size_t piece);
  /// Copies every piece; the device's memory is free to change when it returns.
  void copy_to(const io::Snapshot& snapshot);

 private:
  struct Place {
    std::size_t tensor = 0, part = 0;
  };
  TensorView view_of(std::size_t piece, const StateTensor& tensor, const TensorView& whole) const;

  TrainSetup& setup_;
  std::vector<StateTensor> tensors_;
  std::vector<io::Piece> pieces_;
  std::vector<Place> places_;  // [piece]
  std::vector<float> room_;    // of a block that the device holds
};

}  // namespace caravan::jobs
