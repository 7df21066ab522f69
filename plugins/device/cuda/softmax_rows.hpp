#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "view.hpp"

namespace caravan::cuda {

/// A block of rows of logits, on its way to losses and gradients.
struct SoftmaxRows {
  Matrix logits;                         ///< [R, V] f32
  const std::int32_t* labels = nullptr;  ///< [R]
  double* losses = nullptr;  ///< [R] out: 0 where the label is ignored, NaN where it does not exist
  /// [R, V] f32 or bf16 out: gradient_scale·(softmax − onehot), 0 in rows that are ignored; or absent. It may
  /// begin where `logits` begins if its rows are as many bytes apart.
  Matrix dlogits;
  float gradient_scale = 1;
};

void softmax_rows(const SoftmaxRows& rows, cudaStream_t stream);

/// *to += the sum of `values`, in an order that depends on the count only.
void add_sum(const double* values, std::int64_t count, double* to, cudaStream_t stream);

}  // namespace caravan::cuda
