#pragma once

#include <cstdint>
#include <string>

#include "caravan/tensor.hpp"

// The head. Arguments of operators; the conventions stand in caravan/ops.hpp.
namespace caravan {

inline constexpr std::int32_t kIgnoredLabel = -100;

/// Linear + softmax cross-entropy without the T×V logits: a block of rows at a time. Loss is summed over
/// labels other than kIgnoredLabel. With `dx`, the gradients of gradient_scale·(sum of losses) are made in
/// the same pass, because the logits are at hand only then; dw is added to here and there is no separate W.
struct LinearCrossEntropy {
  TensorView x;         ///< [T, H]
  TensorView w;         ///< [V, H]
  TensorView bias;      ///< [V] or empty
  TensorView labels;    ///< [T]
  TensorView loss_sum;  ///< [1] f64 +=
  TensorView logits;    ///< [T, V] f32 or empty: also keep the logits
  TensorView dx;        ///< [T, H] or empty: evaluation only
  TensorView dw;        ///< [V, H] += or empty
  TensorView dbias;     ///< [V] += or empty
  float gradient_scale = 1;
};

// The same where P ranks have a part of the vocabulary each: every rank takes its statistics, all of them are
// gathered, and each rank makes the loss and then the gradients of its part. V is the number of rows of `w`
// that the rank has, which may be 0. A label that is neither ignored nor an id of any rank is a fault.

/// What a rank whose projection is ids [first_id, first_id + V) knows of each token's loss, logits = x·wᵀ
/// (+ bias). Without logits the largest is the lowest number of f32, and the sum 0.
struct VocabularyStatistics {
  TensorView x;       ///< [T, H]
  TensorView w;       ///< [V, H]
  TensorView bias;    ///< [V] or empty
  TensorView labels;  ///< [T]
  /// [3, T] f32: the largest logit m, Σ exp(logit − m), the logit of the label where it is here, else 0
  TensorView statistics;
  TensorView logits;  ///< [T, V] f32 or empty: also keep the logits
  std::int64_t first_id = 0;
  /// Ids of all ranks together, which begin at 0. 0: only those of `w`, which begin at first_id.
  std::int64_t vocabulary = 0;
};

/// The loss of tokens from what all ranks know. lse = ln Σ exp over all logits. Loss is summed over labels
/// other than kIgnoredLabel of rows [first_row, first_row + rows). Ranks are merged in order, so all of them
/// get the same bits.
struct VocabularyLoss {
  TensorView labels;      ///< [T]
  TensorView statistics;  ///< [P, 3, T] f32 of every rank, contiguous
  TensorView lse;         ///< [T] f32
  TensorView loss_sum;    ///< [1] f64 +=
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
};
/// Why these are not rows of so many tokens, or empty.
std::string problem_with_rows(const VocabularyLoss& args, std::int64_t tokens);

/// Gradients of gradient_scale·(sum of losses) at a rank's part of the logits, which are made once more, a
/// block of rows at a time.
struct VocabularyGradient {
  TensorView x;       ///< [T, H]
  TensorView w;       ///< [V, H]
  TensorView bias;    ///< [V] or empty
  TensorView labels;  ///< [T]
  TensorView lse;     ///< [T] f32 as VocabularyLoss wrote it
  TensorView dx;      ///< [T, H] this rank's summand
  TensorView dw;      ///< [V, H] += or empty
  TensorView dbias;   ///< [V] += or empty
  std::int64_t first_id = 0;
  std::int64_t vocabulary = 0;  ///< as VocabularyStatistics has it
  float gradient_scale = 1;
};

}  // namespace caravan
