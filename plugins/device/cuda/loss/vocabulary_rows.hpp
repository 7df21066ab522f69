#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "caravan/ops/id_range.hpp"
#include "plugins/device/cuda/device/view.hpp"

namespace caravan::cuda {

/// A block of rows of a rank's part of the logits.
struct VocabularyRows {
  Matrix logits;                         ///< [R, V] f32
  const std::int32_t* labels = nullptr;  ///< [R] ids, of any rank
  std::int64_t first_id = 0;             ///< id of the first column
  IdRange all;                           ///< ids of all ranks
};

/// What VocabularyStatistics asks for, to columns [0, R) of `statistics` [3, R]. The logit of a label that
/// is neither ignored nor an id of any rank is not a number.
void vocabulary_statistics(const VocabularyRows& rows, const Matrix& statistics, cudaStream_t stream);

/// dlogits [R, V] f32 or bf16 = scale·(e^(logits − lse) − onehot), 0 in rows that are ignored. It may begin
/// where the logits begin if its rows are as many bytes apart.
void vocabulary_gradient(const VocabularyRows& rows, const float* lse, float scale, const Matrix& dlogits,
                         cudaStream_t stream);

/// What all ranks know of T tokens.
struct RankStatistics {
  const float* statistics = nullptr;     ///< [P, 3, T]
  const std::int32_t* labels = nullptr;  ///< [T]
  std::int64_t ranks = 0;
  std::int64_t tokens = 0;
};

/// lse [T] and losses [T] of all tokens, 0 where the label is ignored.
void vocabulary_losses(const RankStatistics& known, float* lse, double* losses, cudaStream_t stream);

}  // namespace caravan::cuda
