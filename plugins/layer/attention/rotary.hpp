#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace caravan::attention {

/// Llama 3 style stretching of long wavelengths.
struct RotaryScaling {
  double factor, low, high, original;
};

/// ω_i = θ^(−2i/D) for i < D/2, stretched: wavelengths above original/low by `factor`, below original/high
/// not at all, between them smoothly. With low == high the band between is empty. Radians per position.
/// Source: Llama 3.1 / 4 reference, `apply_scaling`.
std::vector<double> rotary_frequencies(std::int64_t head_dim, double theta,
                                       const std::optional<RotaryScaling>& scaling);

}  // namespace caravan::attention
