#pragma once

#include <cstdint>
#include <string_view>

#include "caravan/random.hpp"
#include "caravan/tensor.hpp"

// The operators of a device: arguments in a struct, the shape beside each member. Shape letters:
//   T tokens of a micro-batch (= B·S), B sequences, S sequence length, H model width, V vocabulary, K top-k,
//   E experts, R routed rows (= T·K), F feed-forward width, A query heads, G key/value heads, D head width,
//   N/M any output/input width.
// Conventions: outputs are written; members whose comment says "+=" are added to. An empty view switches the optional
// member off. 2-D views may have a row stride; the innermost stride is 1. Integer views are i32. `*_backward_input`
// gives dL/d(input) (I), `*_backward_weight` adds dL/d(weight) (W). Views of one call do not overlap unless said.
namespace caravan {

inline constexpr std::int32_t kIgnoredLabel = -100;

/// out[t] = table[ids[t]]
struct EmbeddingForward {
  TensorView ids;    ///< [T]
  TensorView table;  ///< [V, H]
  TensorView out;    ///< [T, H]
};
struct EmbeddingBackwardWeight {
  TensorView ids;     ///< [T]
  TensorView dout;    ///< [T, H]
  TensorView dtable;  ///< [V, H] +=
};

/// x[t] += table[first_position + t mod S]; the gradient passes through unchanged.
struct AddPositions {
  TensorView x;      ///< [T, H] in and out
  TensorView table;  ///< [P, H]
  std::int64_t sequence_length = 0;
  std::int64_t first_position = 0;
};

/// y = x·wᵀ (+ bias) (+ residual). `residual` may be `y` itself.
struct LinearForward {
  TensorView x;         ///< [T, M]
  TensorView w;         ///< [N, M]
  TensorView bias;      ///< [N] or empty
  TensorView residual;  ///< [T, N] or empty
  TensorView y;         ///< [T, N]
};
/// dx = dy·w (+ dx when `accumulate`)
struct LinearBackwardInput {
  TensorView dy;  ///< [T, N]
  TensorView w;   ///< [N, M]
  TensorView dx;  ///< [T, M]
  bool accumulate = false;
};
/// dw += dyᵀ·x, dbias += Σ_t dy[t]
struct LinearBackwardWeight {
  TensorView x;      ///< [T, M]
  TensorView dy;     ///< [T, N]
  TensorView dw;     ///< [N, M] +=
  TensorView dbias;  ///< [N] += or empty
};

/// Rows [offsets[e], offsets[e+1]) of x belong to expert e; an expert may have none. Rows beyond offsets[E] are untouched.
struct GroupedLinearForward {
  TensorView x;        ///< [R, M]
  TensorView offsets;  ///< [E+1]
  TensorView w;        ///< [E, N, M]
  TensorView y;        ///< [R, N]
};
struct GroupedLinearBackwardInput {
  TensorView dy;       ///< [R, N]
  TensorView offsets;  ///< [E+1]
  TensorView w;        ///< [E, N, M]
  TensorView dx;       ///< [R, M]
};
struct GroupedLinearBackwardWeight {
  TensorView x;        ///< [R, M]
  TensorView dy;       ///< [R, N]
  TensorView offsets;  ///< [E+1]
  TensorView dw;       ///< [E, N, M] +=
};

/// y = x·rstd·weight, rstd = 1/sqrt(mean(x²) + eps). Source: Zhang & Sennrich 2019.
struct RmsNormForward {
  TensorView x;       ///< [T, H]
  TensorView weight;  ///< [H]
  TensorView y;       ///< [T, H]
  TensorView rstd;    ///< [T]
  float eps = 1e-5f;
};
/// dx = residual + rstd·(weight·dy − x·rstd²·mean(x·weight·dy)). `residual` may be `dx` itself.
struct RmsNormBackwardInput {
  TensorView x;         ///< [T, H]
  TensorView weight;    ///< [H]
  TensorView rstd;      ///< [T]
  TensorView dy;        ///< [T, H]
  TensorView residual;  ///< [T, H] or empty
  TensorView dx;        ///< [T, H]
};
/// dweight += Σ_t dy·x·rstd
struct RmsNormBackwardWeight {
  TensorView x;        ///< [T, H]
  TensorView rstd;     ///< [T]
  TensorView dy;       ///< [T, H]
  TensorView dweight;  ///< [H] +=
};

/// What happens to queries and keys between projection and attention. Row t has position p = first_position + t mod S.
/// q and k: rotate adjacent pairs (2i, 2i+1) by angle p·ω_i when cos/sin are given; then, with norm_eps > 0, multiply
/// each head by rstd = 1/sqrt(mean(x²) + norm_eps); then, with floor_scale > 0, queries only:
/// × 1 + temperature_scale·ln(1 + ⌊(p+1)/floor_scale⌋). Source: Llama 4 reference, see docs of the attention layer.
struct QkPrepare {
  TensorView cos, sin;  ///< [P, D/2] at absolute positions, or empty: no rotation
  std::int64_t heads = 0, kv_heads = 0, head_dim = 0;
  std::int64_t sequence_length = 0, first_position = 0;
  float norm_eps = 0;  ///< 0: no norm
  float temperature_scale = 0;
  float floor_scale = 0;  ///< 0: no temperature
};
struct QkPrepareForward {
  QkPrepare how;
  TensorView qkv;   ///< [T, (A+2G)·D] in and out; the values pass through
  TensorView rstd;  ///< [T, A+G], empty when there is no norm
};
struct QkPrepareBackward {
  QkPrepare how;
  TensorView qkv;   ///< [T, (A+2G)·D] as the forward left it
  TensorView rstd;  ///< [T, A+G] as the forward left it
  TensorView dqkv;  ///< [T, (A+2G)·D] in and out
};

/// Which keys a query sees: key position ≤ query position, same chunk (⌊p/chunk⌋), same document.
struct AttentionMask {
  std::int64_t first_query = 0;  ///< position of q[b, 0]
  std::int64_t first_key = 0;    ///< position of k[b, 0]
  std::int64_t chunk = 0;        ///< 0: whole sequence
  TensorView documents;          ///< [B, S] of queries and keys alike (needs S = Skv), or empty
};
/// Dropout of probabilities; element (first_row + b, (head·S + i)·Skv + j) of the stream.
struct AttentionDropout {
  float probability = 0;
  RandomKey key;
  std::int64_t first_row = 0;  ///< global index of the first sequence
};
/// out = softmax(scale·q·kᵀ + mask)·v; query head h reads key/value head ⌊h·G/A⌋.
struct AttentionForward {
  TensorView q;    ///< [B, S, A, D]
  TensorView k;    ///< [B, Skv, G, D]
  TensorView v;    ///< [B, Skv, G, D]
  TensorView out;  ///< [B, S, A, D]
  TensorView lse;  ///< [B, A, S] ln Σ exp of the scaled scores
  AttentionMask mask;
  AttentionDropout dropout;
  float scale = 1;
};
struct AttentionBackward {
  TensorView q, k, v, out, lse;  ///< as in the forward
  TensorView dout;               ///< [B, S, A, D]
  TensorView dq, dk, dv;         ///< as q, k, v; written
  AttentionMask mask;
  AttentionDropout dropout;
  float scale = 1;
};

/// out = silu(gate)·up, the halves of gate_up's columns.
struct SwigluForward {
  TensorView gate_up;  ///< [R, 2F]
  TensorView out;      ///< [R, F]
};
struct SwigluBackward {
  TensorView gate_up;   ///< [R, 2F]
  TensorView dout;      ///< [R, F]
  TensorView dgate_up;  ///< [R, 2F]; may be gate_up itself
};
/// out = x·Φ(x), exact (erf)
struct GeluForward {
  TensorView x;    ///< [R, F]
  TensorView out;  ///< [R, F]
};
struct GeluBackward {
  TensorView x;     ///< [R, F]
  TensorView dout;  ///< [R, F]
  TensorView dx;    ///< [R, F]; may be dout itself
};

enum class ScoreFunction {
  sigmoid,
  softmax,           ///< over all experts
  softmax_selected,  ///< over the selected experts
};
/// How tokens choose experts: top-k of (score + bias), ties to the lower expert; weight = score at the selected, then
/// ÷ (Σ_k + 1e-20) when `normalise`, then × scale. For softmax_selected the choice is on logits + bias.
struct RouterRule {
  ScoreFunction score = ScoreFunction::sigmoid;
  std::int64_t top_k = 1;
  bool normalise = false;
  float scale = 1;
  bool bias_in_weight = false;  ///< the weight is the score of (logit + bias)
  std::int64_t groups = 0;          ///< 0: no limit. Group score: sum of its two best (score + bias)
  std::int64_t limited_groups = 0;  ///< groups that stay eligible
};
/// The routing of one micro-batch. Sorting is stable: rows of an expert keep the order of token·K + k.
struct RouteForward {
  RouterRule rule;
  TensorView logits;    ///< [T, E] in; noise is added in place when noise_std is given
  TensorView noise_std; ///< [T, E] logits of the noise, σ = softplus; or empty
  RandomKey noise_key;
  std::int64_t first_token = 0;  ///< global index of token 0: row of the noise stream
  TensorView bias;      ///< [E] or empty
  TensorView experts;   ///< [T, K] selected experts, by falling score
  TensorView weights;   ///< [T, K] f32
  TensorView offsets;   ///< [E+1] first row of each expert
  TensorView row_of;    ///< [T, K] row of (token, k)
  TensorView slot_of;   ///< [R] token·K + k of a row
  TensorView counts;    ///< [E] f32 += rows of each expert, or empty
};
struct RouteBackward {
  RouterRule rule;
  TensorView logits;    ///< [T, E] as the forward left it
  TensorView noise_std; ///< [T, E] or empty
  RandomKey noise_key;
  std::int64_t first_token = 0;
  TensorView bias;      ///< [E] or empty
  TensorView experts;   ///< [T, K]
  TensorView weights;   ///< [T, K]
  TensorView dweights;  ///< [T, K]
  TensorView dlogits;   ///< [T, E]
  TensorView dnoise;    ///< [T, E] or empty: gradient of noise_std
};

/// Load-balance loss of one layer: coefficient·E²·Σ_b mean_e(density[b,e]·prob[b,e]), density = share of the sequence's
/// slots routed to e, prob = mean softmax probability over the sequence. Divide by the sequences through `coefficient`.
/// Source: MaxText's moe_lb_loss.
struct BalanceLossForward {
  TensorView logits;   ///< [T, E]
  TensorView experts;  ///< [T, K]
  std::int64_t sequence_length = 0;
  float coefficient = 0;
  TensorView loss;  ///< [1] f64 +=
};
struct BalanceLossBackward {
  TensorView logits;   ///< [T, E]
  TensorView experts;  ///< [T, K]
  std::int64_t sequence_length = 0;
  float coefficient = 0;
  TensorView dlogits;  ///< [T, E] +=
};

/// out[r] = w·x[slot_of[r] / K], w = weights[slot_of[r]] or 1
struct PermuteForward {
  TensorView x;        ///< [T, H]
  TensorView slot_of;  ///< [R]
  TensorView weights;  ///< [T, K] or empty
  std::int64_t top_k = 1;
  TensorView out;  ///< [R, H]
};
/// dx[t] = (dx[t] when `accumulate`) + Σ_k w·dout[row_of[t,k]]; dweights[t,k] = x[t]·dout[row_of[t,k]]
struct PermuteBackward {
  TensorView x;         ///< [T, H], empty when weights are
  TensorView dout;      ///< [R, H]
  TensorView row_of;    ///< [T, K]
  TensorView weights;   ///< [T, K] or empty
  TensorView dx;        ///< [T, H]
  TensorView dweights;  ///< [T, K], empty when weights are
  bool accumulate = false;
};
/// y[t] = base[t] + Σ_k w·rows[row_of[t,k]]. `base` may be `y` itself, or empty (0).
struct CombineForward {
  TensorView rows;     ///< [R, H]
  TensorView row_of;   ///< [T, K]
  TensorView weights;  ///< [T, K] or empty
  TensorView base;     ///< [T, H] or empty
  TensorView y;        ///< [T, H]
};
/// drows[row_of[t,k]] = w·dy[t]; dweights[t,k] = dy[t]·rows[row_of[t,k]]
struct CombineBackward {
  TensorView dy;        ///< [T, H]
  TensorView rows;      ///< [R, H], empty when weights are
  TensorView row_of;    ///< [T, K]
  TensorView weights;   ///< [T, K] or empty
  TensorView drows;     ///< [R, H]
  TensorView dweights;  ///< [T, K], empty when weights are
};

/// Linear + softmax cross-entropy without the T×V logits: a block of rows at a time. Loss is summed over labels other
/// than kIgnoredLabel. With `dx`, the gradients of gradient_scale·(sum of losses) are made in the same pass, because the
/// logits are at hand only then; dw is added to here and there is no separate W.
struct LinearCrossEntropy {
  TensorView x;         ///< [T, H]
  TensorView w;         ///< [V, H]
  TensorView bias;      ///< [V] or empty
  TensorView labels;    ///< [T]
  TensorView loss_sum;  ///< [1] f64 +=
  TensorView logits;    ///< [T, V] or empty: also keep the logits
  TensorView dx;        ///< [T, H] or empty: evaluation only
  TensorView dw;        ///< [V, H] += or empty
  TensorView dbias;     ///< [V] += or empty
  float gradient_scale = 1;
};

/// Multiplies by 0 or 1/(1−p); element (first_row + row, column) of the stream. Forward and backward are the same call.
struct Dropout {
  TensorView x;  ///< [T, H] in and out
  float probability = 0;
  RandomKey key;
  std::int64_t first_row = 0;
};
/// y += x
struct Add {
  TensorView x;  ///< any shape, contiguous
  TensorView y;  ///< same count, in and out
};

/// AdamW with decoupled decay, g = gradient_scale·grad: m = β1·m + (1−β1)·g; v = β2·v + (1−β2)·g²;
/// w ← w − lr·weight_decay·w − lr·(m/(1−β1^step)) / (sqrt(v/(1−β2^step)) + eps). One pass: 28 bytes a parameter in fp32.
/// Source: Loshchilov & Hutter 2019, in the order of PyTorch's implementation.
struct AdamWStep {
  TensorView master, grad, exp_avg, exp_avg_sq;  ///< f32, contiguous, equal counts
  TensorView weight;                             ///< compute copy to refresh, or empty when it is the master
  double lr = 0, beta1 = 0, beta2 = 0, eps = 0, weight_decay = 0;
  std::int64_t step = 1;            ///< 1-based
  TensorView gradient_scale;        ///< [1] f32 on the device, read late
};
/// out += Σ x²
struct SumOfSquares {
  TensorView x;    ///< contiguous
  TensorView out;  ///< [1] f64 +=
};
/// Balancing without a loss: δ = rate·sign(mean(counts) − counts), δ −= mean(δ) when `centre`, bias += δ, counts = 0.
/// Source: Wang et al. 2024 (auxiliary-loss-free load balancing), centred as torchtitan does.
struct ExpertBiasUpdate {
  TensorView counts;  ///< [E] f32, zeroed
  TensorView bias;    ///< [E] f32
  float rate = 0;
  bool centre = true;
};

/// What a device can compute. The defaults throw DeviceError "not implemented" with operator and device named.
class Ops {
 public:
  virtual ~Ops() = default;
  virtual std::string_view device_name() const = 0;

#define CARAVAN_FOR_EACH_OP(X)                                   \
  X(embedding_forward, EmbeddingForward)                         \
  X(embedding_backward_weight, EmbeddingBackwardWeight)          \
  X(add_positions, AddPositions)                                 \
  X(linear_forward, LinearForward)                               \
  X(linear_backward_input, LinearBackwardInput)                  \
  X(linear_backward_weight, LinearBackwardWeight)                \
  X(grouped_linear_forward, GroupedLinearForward)                \
  X(grouped_linear_backward_input, GroupedLinearBackwardInput)   \
  X(grouped_linear_backward_weight, GroupedLinearBackwardWeight) \
  X(rmsnorm_forward, RmsNormForward)                             \
  X(rmsnorm_backward_input, RmsNormBackwardInput)                \
  X(rmsnorm_backward_weight, RmsNormBackwardWeight)              \
  X(qk_prepare_forward, QkPrepareForward)                        \
  X(qk_prepare_backward, QkPrepareBackward)                      \
  X(attention_forward, AttentionForward)                         \
  X(attention_backward, AttentionBackward)                       \
  X(swiglu_forward, SwigluForward)                               \
  X(swiglu_backward, SwigluBackward)                             \
  X(gelu_forward, GeluForward)                                   \
  X(gelu_backward, GeluBackward)                                 \
  X(route_forward, RouteForward)                                 \
  X(route_backward, RouteBackward)                               \
  X(balance_loss_forward, BalanceLossForward)                    \
  X(balance_loss_backward, BalanceLossBackward)                  \
  X(permute_forward, PermuteForward)                             \
  X(permute_backward, PermuteBackward)                           \
  X(combine_forward, CombineForward)                             \
  X(combine_backward, CombineBackward)                           \
  X(linear_cross_entropy, LinearCrossEntropy)                    \
  X(dropout, Dropout)                                            \
  X(add, Add)                                                    \
  X(adamw_step, AdamWStep)                                       \
  X(sum_of_squares, SumOfSquares)                                \
  X(expert_bias_update, ExpertBiasUpdate)

#define CARAVAN_DECLARE_OP(name, Args) \
  virtual void name(const Args& args);
  CARAVAN_FOR_EACH_OP(CARAVAN_DECLARE_OP)
#undef CARAVAN_DECLARE_OP
};

}  // namespace caravan
