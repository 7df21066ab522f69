#pragma once

#include "tests/run/model_fixture.hpp"

#include <cstdint>

// A model small enough to be recomputed by hand in double precision: 16 tokens, width 8, 4 layers, two of
// them with experts, chunks of 4, one layer without rotation. Its loss was confirmed with Hugging Face
// transformers.
namespace caravan::testing::mini {

inline constexpr double kLoss = 3.0158849783;
/// Distance from kLoss that counts as equal; every wrong model is further away.
inline constexpr double kTolerance = 1e-6;

Config config();
/// The 12 tokens of the golden values, the next token as label.
TestBatch batch();

/// How the stored tensors of Hugging Face's names are read into the model.
enum class Reading {
  right,
  half_split_rotation,  ///< rows of q and k as if the pairs of the rotation were (i, i + D/2)
  gate_up_swapped,      ///< of the routed experts
  gate_up_interleaved,  ///< of the routed experts: even columns are the gate
};
/// Weights by the hash rule, in the order of Hugging Face's tensors.
void fill(TestModel& model, Reading reading = Reading::right);

/// The raw number of element i of tensor t, in [−0.5, 0.5).
double hashed(std::uint32_t tensor, std::uint32_t element);

}  // namespace caravan::testing::mini
