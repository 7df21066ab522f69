#pragma once

#include <cstdint>

#include "caravan/tensor.hpp"

// From logits to the next token, on the device. Arguments of an operator; the conventions stand in
// caravan/ops.hpp.
namespace caravan {

/// How each of N slots chooses, in this order: temperature, top_k, top_p, min_p, as in transformers.
struct SamplingRules {
  TensorView temperature;  ///< [N] f64; 0: the likeliest token, the lowest id on ties
  TensorView top_k;        ///< [N] i32 keep this many; 0: all
  TensorView top_p;        ///< [N] f64 keep the likeliest tokens whose probabilities reach this
  TensorView min_p;        ///< [N] f64 keep those of at least this share of the likeliest one's probability
  TensorView repetition;   ///< [N] f64 > 0; logits of tokens that were seen: l/r where l > 0, else l·r
  TensorView seed;         ///< [N] i64
};

/// What SampleTokens writes for a row whose logits are not finite.
inline constexpr std::int32_t kNotDrawn = -1;

/// Draws a token for each row: of the logits plus `bias`, changed by the repetition rule, tokens are ordered
/// (ties: lowest id first), turned to probabilities by exp((l − largest)/temperature), cut by top_k, top_p
/// and min_p, and one is drawn with uniform({seed, hash_name("sampler")}, 0, drawn[slot]). So token n of a
/// slot depends on seed, n and its logits alone, whatever the batch. Rows whose slot is negative write
/// nothing.
struct SampleTokens {
  TensorView logits;  ///< [R, V] f32
  TensorView slots;   ///< [R] i32, each slot at most once
  SamplingRules rules;
  TensorView bias;      ///< [V] f32, or empty; −∞: never drawn
  TensorView seen;      ///< [N, V] u8, or empty: no repetition rule. Becomes 1 of what is drawn
  TensorView drawn;     ///< [N] i32 in and out: how many tokens each slot has drawn
  TensorView tokens;    ///< [R] i32 out, kNotDrawn where a logit is not finite
  TensorView log_prob;  ///< [R] f32 out, or empty: ln softmax(logits)[token], before all rules
  std::int64_t drawable =
      0;  ///< ids below this are drawn: the other rows of the vocabulary stand for no text
};

}  // namespace caravan
