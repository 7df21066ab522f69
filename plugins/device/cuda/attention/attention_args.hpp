#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "caravan/random.hpp"
#include "caravan/tensor.hpp"

namespace caravan::cuda {

/// A [B, S, heads, D] view on the device, strides in elements; the D elements of a head are adjacent.
struct HeadRows {
  void* data = nullptr;
  std::int64_t batch = 0, row = 0, head = 0;
};

/// [B, rows] documents on the device, or null: one document.
struct DocumentRows {
  const std::int32_t* data = nullptr;
  std::int64_t stride = 0;
};

/// What this device's own attention kernels get, by value. attention.cpp has checked it.
struct AttentionArgs {
  HeadRows q, k, v, out;      ///< forward writes out
  HeadRows dout, dq, dk, dv;  ///< backward only
  float* lse = nullptr;       ///< [B, A, S]
  std::int64_t lse_batch = 0, lse_head = 0;
  float* delta = nullptr;  ///< [B, A, S] scratch of the backward: Σ_d dout·out
  int batch = 0, queries = 0, keys = 0, heads = 0, kv_heads = 0, width = 0;
  std::int64_t first_query = 0, first_key = 0, chunk = 0;
  DocumentRows query_documents, key_documents;
  RandomKey dropout_key;
  std::int64_t dropout_sample = 0, dropout_length = 0, dropout_head = 0;
  float dropout = 0;
  float scale = 1;
  bool adds = false;     ///< out, lse and dq are those of other keys before, and of both behind
  bool is_past = false;  ///< cuDNN's alone: queries see all of these keys, and their results are added to
  bool vectors = false;  ///< four neighbouring elements of a head can be read at once
  DType dtype = DType::f32;
};

/// The widest head that these kernels hold.
inline constexpr int kWidestHead = 256;

/// Deterministic, any mask, in f32 arithmetic.
void attention_forward_kernels(const AttentionArgs& args, cudaStream_t stream);
/// The same, in two passes: dq by tiles of queries, dk and dv by tiles of keys; no atomics.
void attention_backward_kernels(const AttentionArgs& args, cudaStream_t stream);

}  // namespace caravan::cuda
