#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "plugins/device/cuda/device/context.hpp"
#include "plugins/device/cuda/device/view.hpp"

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

void softmax_rows(const Context& context, const SoftmaxRows& rows);

/// Whether softmax_rows_once serves these: rows of 16 bytes that fit the shared memory of a block, and are
/// long enough to fill it.
bool fits_once(const Context& context, const SoftmaxRows& rows);
/// The same with one pass over memory: a row stays in shared memory between its sum and its gradients.
void softmax_rows_once(const Context& context, const SoftmaxRows& rows);

/// *to += the sum of `values`, in an order that depends on the count only.
void add_sum(const double* values, std::int64_t count, double* to, cudaStream_t stream);

}  // namespace caravan::cuda
