#pragma once

#include <span>
#include <vector>

#include "core/run/decoder.hpp"
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
  TestModel& model_;
  Decoder decoder_;
  std::int64_t position_ = 0;
};

/// A plan for `slots` sequences of so many positions, in steps of up to `most_rows` rows.
DecodePlan decode_plan(TestModel& model, std::int64_t slots, std::int64_t positions, std::int64_t most_rows);

/// `count` tokens after `prompt`, each the likeliest, through the cache.
std::vector<std::int32_t> continue_greedily(TestModel& model, std::vector<std::int32_t> prompt,
                                            std::int64_t count);

}  // namespace caravan::testing
