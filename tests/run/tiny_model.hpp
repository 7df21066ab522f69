#pragma once

#include <string>
#include <vector>

#include "tests/run/model_fixture.hpp"

// A model with every kind of layer and weights far from their usual smallness, so that every gradient can be
// seen.
namespace caravan::testing::tiny {

inline constexpr std::int64_t kVocabulary = 13;
inline constexpr std::int64_t kChunk = 4;

/// Four layers: dense and experts in turn, the last without rotation; chunks of 4. Each assignment is
/// "key=value".
Config config(const std::vector<std::string>& assignments = {});
/// Drawn by the model's own rule; norms and expert bias are moved off their start too.
void fill(TestModel& model, std::uint64_t seed);

/// A job's worth of switches under a name that GoogleTest accepts.
struct Variant {
  std::string name;
  std::vector<std::string> assignments;
};
/// Each switch of the architecture at least once.
const std::vector<Variant>& variants();

}  // namespace caravan::testing::tiny
