#pragma once

#include <map>
#include <memory>
#include <span>
#include <vector>

#include "core/run/executor.hpp"
#include "jobs/setup/model_instance.hpp"

namespace caravan::jobs {

/// Feeds one sequence through a model piece by piece; keys and values of earlier pieces are cached,
/// whole-sequence layers keep all positions, chunked layers one chunk. Borrows device and model, whose
/// weights must be loaded.
class Decoder {
 public:
  /// `max_positions`: the most tokens that will ever be fed; at most the model's positions.
  Decoder(Device& device, ModelInstance& model, std::int64_t max_positions);

  /// Feeds tokens at the next positions. Returns the logits [V] after the last of them, valid until the next
  /// call. NumericalError with the position when one is NaN or infinite.
  std::span<const float> feed(std::span<const std::int32_t> tokens);
  std::int64_t position() const noexcept { return position_; }
  /// Forgets everything fed.
  void restart() noexcept { position_ = 0; }

 private:
  /// Memory and walks for pieces of one length.
  struct Piece {
    Piece(Device& device, Stage& stage, StashLayout layout, const Stash* session);
    Stash stash;
    Executor executor;
  };
  std::int64_t next_length(std::int64_t wanted) const;
  Piece& piece(std::int64_t length);
  void check_logits() const;

  Device& device_;
  ModelInstance& model_;
  std::int64_t max_positions_;
  std::int64_t position_ = 0;
  Arena memory_;
  TensorView device_logits_;
  std::vector<float> logits_;
  std::map<std::int64_t, std::unique_ptr<Piece>> pieces_;  // by length, a power of two; 1 owns the session
};

}  // namespace caravan::jobs
