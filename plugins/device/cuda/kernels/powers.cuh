#pragma once

// Powers as the special function unit makes them: relative error 2⁻²².
namespace caravan::cuda {

inline constexpr float kLog2E = 1.4426950408889634f;

/// 2^x, 0 where that is not a normal number.
__device__ inline float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace caravan::cuda
