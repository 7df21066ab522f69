#pragma once

#include <vector>

#include "io/checkpoint/snapshot.hpp"
#include "jobs/state/rank_state.hpp"
#include "jobs/state/state_tensors.hpp"

namespace caravan::jobs {

/// What of the lasting state is stored: all that a run needs to go on, or all that a model needs to compute.
enum class CheckpointContent { everything, weights };

/// What this rank stores of the run's lasting state, and where it is. Pipeline ranks store what they own, and
/// ranks that hold the same divide it among them. Borrows what the state borrows, allocated.
class CheckpointShare {
 public:
  /// `weights`: the type that weights are stored in, f32 or bf16; other state is always f32.
  explicit CheckpointShare(RankState state, CheckpointContent content = CheckpointContent::everything,
                           DType weights = DType::f32);

  Device& device() const noexcept { return state_.device; }
  const std::vector<io::Piece>& pieces() const noexcept { return pieces_; }
  /// The elements of a piece in host memory, until the next call.
  TensorView elements(std::size_t piece);
  /// Copies every piece; the device's memory is free to change when it returns.
  void copy_to(const io::Snapshot& snapshot);

 private:
  TensorView round(const TensorView& values);
  /// Where the elements of a piece come from.
  struct Source {
    std::size_t tensor = 0, part = 0;
    Box within;  ///< of the part
  };
  TensorView view_of(std::size_t piece, const TensorView& whole) const;

  RankState state_;
  std::vector<StateTensor> tensors_;
  std::vector<io::Piece> pieces_;
  std::vector<Source> sources_;         // [piece]
  std::vector<float> room_;             // of a block that the device holds
  std::vector<std::uint16_t> rounded_;  // of a piece that is stored as bf16
};

/// What a Snapshot of this rank's share of everything takes, counted by shapes: nothing need be allocated.
std::uint64_t snapshot_bytes(const RankState& state);

}  // namespace caravan::jobs
