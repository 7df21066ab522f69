#pragma once

#include <map>
#include <memory>
#include <span>
#include <vector>

#include "tests/run/model_fixture.hpp"

namespace caravan::testing {

/// Decoding of one sequence in pieces that the caller chooses: earlier keys and values are cached.
class CachedForward {
 public:
  CachedForward(TestModel& model, std::int64_t cache_length);

  /// Logits [V] after the last of `tokens`, which stand at the next positions.
  std::vector<float> feed(std::span<const std::int32_t> tokens);
  /// The same in pieces of at most `piece` tokens that do not cross a chunk.
  std::vector<float> feed(std::span<const std::int32_t> tokens, std::int64_t piece);
  std::int64_t position() const noexcept { return position_; }

 private:
  struct Piece {
    Piece(TestModel& model, StashLayout layout, const Stash* session)
        : stash(session ? Stash(model.device(), layout, *session) : Stash(model.device(), layout, 1)),
          executor(model.device(), model.stage(), stash) {}
    Stash stash;
    Executor executor;
  };
  Piece& piece_of(std::int64_t length);

  TestModel& model_;
  std::int64_t cache_length_;
  std::int64_t position_ = 0;
  std::map<std::int64_t, std::unique_ptr<Piece>> pieces_;  // by length; 1 owns the session
};

/// `count` tokens after `prompt`, each the likeliest, through the cache.
std::vector<std::int32_t> continue_greedily(TestModel& model, std::vector<std::int32_t> prompt,
                                            std::int64_t count);

}  // namespace caravan::testing
