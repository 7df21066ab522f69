#pragma once

#include <cstdint>
#include <string>

#include "caravan/random.hpp"
#include "caravan/tensor.hpp"
#include "caravan/token_map.hpp"

// From router logits to sorted rows and back. Arguments of operators; the conventions stand in
// caravan/ops.hpp.
namespace caravan {

enum class ScoreFunction {
  sigmoid,
  softmax,           ///< over all experts
  softmax_selected,  ///< over the selected experts
};

/// How tokens choose experts: top-k of (score + bias), ties to the lower expert; weight = score at the
/// selected, then ÷ (Σ_k + 1e-20) when `normalise`, then × scale. For softmax_selected the choice is on
/// logits + bias.
struct RouterRule {
  ScoreFunction score = ScoreFunction::sigmoid;
  std::int64_t top_k = 1;
  bool normalise = false;
  float scale = 1;
  bool bias_in_weight = false;      ///< the weight is the score of (logit + bias)
  std::int64_t groups = 0;          ///< 0: no limit. Group score: sum of its two best (score + bias)
  std::int64_t limited_groups = 0;  ///< groups that stay eligible
};

/// Empty when top_k and groups fit the experts, else what does not: "top_k 5 of 4 eligible experts".
std::string problem_with(const RouterRule& rule, std::int64_t experts);

/// What forward and backward of a router know alike: the rule, and tokens with their choices.
struct RoutedTokens {
  RouterRule rule;
  TensorView logits;     ///< [T, E] f32; the forward adds noise in place when noise_std is given
  TensorView noise_std;  ///< [T, E] f32 logits of the noise, σ = softplus; or empty
  RandomKey noise_key;
  TokenMap rows;       ///< row t of the noise stream is rows.token(t)
  TensorView bias;     ///< [E] or empty
  TensorView experts;  ///< [T, K] selected experts, by falling score; written by the forward
  TensorView weights;  ///< [T, K] f32; written by the forward
};

/// The routing of one micro-batch. Sorting is stable: rows of an expert keep the order of token·K + k.
struct RouteForward {
  RoutedTokens routed;
  TensorView offsets;    ///< [E+1] first row of each expert
  TensorView row_of;     ///< [T, K] row of (token, k)
  TensorView choice_of;  ///< [R] token·K + k of a row, R = T·K
  TensorView counts;     ///< [E] f32 += choices of each expert, or empty
};

/// Of the choices of a sequence an expert takes the first ones, in the order of token·K + k; the others are
/// dropped and lose their rows. A sequence may be on several ranks: what counts are the choices of all of
/// them, what loses rows are those that were routed here.
struct LimitChoices {
  TensorView choices;                ///< [A, K] experts that the tokens of whole sequences chose
  std::int64_t capacity = 0;         ///< C > 0: choices of a sequence that an expert takes
  std::int64_t sequence_length = 0;  ///< L: tokens [b·L, (b + 1)·L) of `choices` are one sequence
  TokenMap rows;                     ///< token t here is token rows.token(t) of `choices`
  // Of the tokens here, as route_forward left them.
  TensorView offsets;    ///< [E+1]
  TensorView row_of;     ///< [T, K]; −1 where it is dropped
  TensorView choice_of;  ///< [R]; −1 from offsets[E] on
  TensorView dropped;    ///< [1] f64 += choices that are dropped here, or empty
};

/// Empty, or "capacity -1 of sequences of 0 tokens", or "tokens [4, 9) of 8".
std::string problem_with(const LimitChoices& args);

struct RouteBackward {
  RoutedTokens routed;
  TensorView dweights;  ///< [T, K] f32
  TensorView dlogits;   ///< [T, E] of the compute type
  TensorView dnoise;    ///< [T, E] of the compute type or empty: gradient of noise_std
};

/// Load-balance loss of one layer: coefficient·E²·Σ_b mean_e(density[b,e]·prob[b,e]), density = share of the
/// sequence's choices routed to e, prob = mean softmax probability over the sequence. Divide by the sequences
/// through `coefficient`. Source: MaxText's moe_lb_loss.
struct BalanceLossForward {
  TensorView logits;   ///< [T, E] f32
  TensorView experts;  ///< [T, K]
  std::int64_t sequence_length = 0;
  float coefficient = 0;
  TensorView loss;  ///< [1] f64 +=
};
struct BalanceLossBackward {
  TensorView logits;   ///< [T, E] f32
  TensorView experts;  ///< [T, K]
  std::int64_t sequence_length = 0;
  float coefficient = 0;
  TensorView dlogits;  ///< [T, E] += of the compute type
};

/// out[r] = w·x[choice_of[r] / K], w = weights[choice_of[r]] or 1. Where choice_of is −1 there is no row: it
/// stays as it is. Below, a row_of of −1 is a choice without a row: it adds nothing, and its dweights are 0.
struct PermuteForward {
  TensorView x;          ///< [T, H]
  TensorView choice_of;  ///< [R]
  TensorView weights;    ///< [T, K] f32 or empty
  std::int64_t top_k = 1;
  TensorView out;  ///< [R, H]
};

/// dx[t] = (dx[t] when `accumulate`) + Σ_k w·dout[row_of[t,k]]; dweights[t,k] = x[t]·dout[row_of[t,k]]
struct PermuteBackward {
  TensorView x;         ///< [T, H], empty when weights are
  TensorView dout;      ///< [R, H]
  TensorView row_of;    ///< [T, K]
  TensorView weights;   ///< [T, K] f32 or empty
  TensorView dx;        ///< [T, H]
  TensorView dweights;  ///< [T, K] f32, empty when weights are
  bool accumulate = false;
};

/// y[t] = base[t] + Σ_k w·rows[row_of[t,k]]. `base` may be `y` itself, or empty (0).
struct CombineForward {
  TensorView rows;     ///< [R, H]
  TensorView row_of;   ///< [T, K]
  TensorView weights;  ///< [T, K] f32 or empty
  TensorView base;     ///< [T, H] or empty
  TensorView y;        ///< [T, H]
};

/// drows[row_of[t,k]] = w·dy[t]; dweights[t,k] = dy[t]·rows[row_of[t,k]]
struct CombineBackward {
  TensorView dy;        ///< [T, H]
  TensorView rows;      ///< [R, H], empty when weights are
  TensorView row_of;    ///< [T, K]
  TensorView weights;   ///< [T, K] f32 or empty
  TensorView drows;     ///< [R, H]
  TensorView dweights;  ///< [T, K] f32, empty when weights are
};

}  // namespace caravan
