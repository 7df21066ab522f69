#pragma once

// SwiGLU of one element: silu(gate)·up, silu(x) = x·sigmoid(x).
namespace caravan::cuda {

__device__ inline float sigmoid(float x) {
  return __fdividef(1.0f, 1.0f + __expf(-x));
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
