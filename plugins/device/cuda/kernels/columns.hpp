#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "plugins/device/cuda/device/view.hpp"

namespace caravan::cuda {

/// x[t] += bias for every row t; x and bias f32 or bf16 each.
void add_to_rows(const Matrix& x, const Matrix& bias, cudaStream_t stream);

/// Floats of scratch that add_column_sums needs.
std::size_t column_sums_scratch(const Matrix& x);
/// to[n] += Σ_t x[t][n], in f32 and in an order that depends on the shape only.
void add_column_sums(const Matrix& x, float* to, float* scratch, cudaStream_t stream);

}  // namespace caravan::cuda
