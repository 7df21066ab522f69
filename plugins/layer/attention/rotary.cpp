#include "plugins/layer/attention/rotary.hpp"

#include <cmath>

namespace caravan::attention {
namespace {

double stretched(double frequency, const RotaryScaling& by) {
  const double wavelength = 2 * M_PI / frequency;
  if (wavelength < by.original / by.high) return frequency;
  if (wavelength > by.original / by.low) return frequency / by.factor;
  const double smooth = (by.original / wavelength - by.low) / (by.high - by.low);
  return (1 - smooth) * frequency / by.factor + smooth * frequency;
}

}  // namespace

std::vector<double> rotary_frequencies(std::int64_t head_dim, double theta,
                                       const std::optional<RotaryScaling>& scaling) {
  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < head_dim / 2; ++i) {
    const double plain = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    frequencies.push_back(scaling ? stretched(plain, *scaling) : plain);
  }
  return frequencies;
}

}  // namespace caravan::attention
