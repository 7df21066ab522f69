#pragma once

#include <string>
#include <string_view>

#include "caravan/ops/attention.hpp"
#include "caravan/ops/decoding.hpp"
#include "caravan/ops/elementwise.hpp"
#include "caravan/ops/embedding.hpp"
#include "caravan/ops/feed_forward.hpp"
#include "caravan/ops/linear.hpp"
#include "caravan/ops/logit_clip.hpp"
#include "caravan/ops/loss.hpp"
#include "caravan/ops/norm.hpp"
#include "caravan/ops/peers.hpp"
#include "caravan/ops/routing.hpp"
#include "caravan/ops/sampling.hpp"
#include "caravan/ops/update.hpp"

// The operators of a device: arguments in a struct, the shape beside each member. Shape letters:
//   T tokens of a micro-batch (= B·S), B sequences, S sequence length, H model width, V vocabulary, K top-k,
//   E experts, R routed rows (= T·K), F feed-forward width, A query heads, G key/value heads, D head width,
//   N/M any output/input width.
// Conventions: outputs are written; members whose comment says "+=" are added to. An empty view switches the
// optional member off. 2-D views may have a row stride; the innermost stride is 1. Integer views are i32.
// `*_backward_input` gives dL/d(input) (I), `*_backward_weight` adds dL/d(weight) (W). Views of one call do
// not overlap unless said.
// Element types: activations, their gradients and the weights that operators read are of the compute type,
// f32 or bf16, the same in all views of one call. Always f32: router logits, noise, routing weights and their
// gradients; rstd and lse; gradients of weights and biases; tables of positions; logits that a loss keeps;
// counters, expert bias and everything of the optimizer but its copy of the weights. The result of
// linear_forward may be f32 where its inputs are not. Gradients of router logits are of the compute type:
// matrix products read them.
namespace caravan {

/// How a device runs a call of an operator, for people to read.
struct OperatorPath {
  enum class Pace {
    fast,
    plain,  ///< right, and far below what the machine could do
  };
  std::string path;  ///< "cuDNN", "own kernel"
  std::string why;   ///< in a few words, or empty
  Pace pace = Pace::fast;
};

/// What a device can compute. The defaults throw DeviceError "not implemented" with operator and device
/// named. path_of() says what the operator would do with such arguments: it looks at shapes, types and
/// alignment and reads nothing that the views point to.
class Ops {
 public:
  virtual ~Ops() = default;
  virtual std::string_view device_name() const = 0;
  /// The answer of path_of() where an operator has but one way.
  virtual OperatorPath usual_path() const { return {"own kernel", ""}; }

  /// Whether decode_experts() takes so many tokens of such shapes; where it does not, each step of it is an
  /// operator. Reads nothing that the views point to.
  virtual bool serves(const DecodeExperts&) const { return false; }

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
  X(qk_prepare_cached, QkPrepareCached)                          \
  X(paged_attention, PagedAttention)                             \
  X(advance_rows, AdvanceRows)                                   \
  X(decode_experts, DecodeExperts)                               \
  X(attention_forward, AttentionForward)                         \
  X(attention_backward, AttentionBackward)                       \
  X(largest_logits, LargestLogits)                               \
  X(swiglu_forward, SwigluForward)                               \
  X(swiglu_backward, SwigluBackward)                             \
  X(gate_up_forward, GateUpForward)                              \
  X(down_backward_input, DownBackwardInput)                      \
  X(gelu_forward, GeluForward)                                   \
  X(gelu_backward, GeluBackward)                                 \
  X(route_forward, RouteForward)                                 \
  X(route_backward, RouteBackward)                               \
  X(limit_choices, LimitChoices)                                 \
  X(balance_loss_forward, BalanceLossForward)                    \
  X(balance_loss_backward, BalanceLossBackward)                  \
  X(permute_forward, PermuteForward)                             \
  X(permute_backward, PermuteBackward)                           \
  X(combine_forward, CombineForward)                             \
  X(combine_backward, CombineBackward)                           \
  X(place_rows, PlaceRows)                                       \
  X(push_rows, PushRows)                                         \
  X(exchange_rows, ExchangeRows)                                 \
  X(return_rows, ReturnRows)                                     \
  X(mark_lost, MarkLost)                                         \
  X(sample_tokens, SampleTokens)                                 \
  X(linear_cross_entropy, LinearCrossEntropy)                    \
  X(vocabulary_statistics, VocabularyStatistics)                 \
  X(vocabulary_loss, VocabularyLoss)                             \
  X(vocabulary_gradient, VocabularyGradient)                     \
  X(dropout, Dropout)                                            \
  X(add, Add)                                                    \
  X(adamw_step, AdamWStep)                                       \
  X(sgd_step, SgdStep)                                           \
  X(lion_step, LionStep)                                         \
  X(momentum_step, MomentumStep)                                 \
  X(weighted_sum, WeightedSum)                                   \
  X(sum_of_squares, SumOfSquares)                                \
  X(clip_factor, ClipFactor)                                     \
  X(clip_heads, ClipHeads)                                       \
  X(expert_bias_update, ExpertBiasUpdate)

#define CARAVAN_DECLARE_OP(name, Args)              \
  virtual void name(const Args& args);              \
  virtual OperatorPath path_of(const Args&) const { \
    return usual_path();                            \
  }
  CARAVAN_FOR_EACH_OP(CARAVAN_DECLARE_OP)
#undef CARAVAN_DECLARE_OP
};

}  // namespace caravan
