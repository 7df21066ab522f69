#pragma once

#include "plugins/device/cuda/kernels/powers.cuh"

// SwiGLU of one element: silu(gate)·up, silu(x) = x·sigmoid(x).
namespace caravan::cuda {

/// As `__fdividef(1, 1 + __expf(-x))`, without the instructions that keep denormal numbers: what they change
/// is lost when 1 is added.
__device__ inline float sigmoid(float x) {
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(1.0f + power_of_two(-kLog2E * x)));
  return result;
}

__device__ inline float swiglu(float gate, float up) {
  return gate * sigmoid(gate) * up;
}

struct SwigluGradient {
  float gate, up;
};
__device__ inline SwigluGradient swiglu_gradient(float gate, float up, float dy) {
  const float s = sigmoid(gate), silu = gate * s;
  return {dy * up * (s + silu * (1.0f - s)), dy * silu};
}

}  // namespace caravan::cuda
