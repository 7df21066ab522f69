#pragma once

#include <cstdint>
#include <span>

namespace caravan::jobs {

/// log Σ exp of a row of logits, in doubles.
double log_sum_exp(std::span<const float> row);

/// The mean over the labels that count; 0 where none does. `logits` is [labels, vocab].
double mean_cross_entropy(std::span<const float> logits, std::span<const std::int32_t> labels,
                          std::int64_t vocab);

}  // namespace caravan::jobs
