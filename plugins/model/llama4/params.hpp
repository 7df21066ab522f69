#pragma once

#include "caravan/abi.h"

namespace caravan::llama4 {

inline constexpr caravan_param kParams[] = {
    {"vocab_size", "int", nullptr, "tokens", "[1, 16777216]", "Tokens of the vocabulary."},
    {"dim", "int", nullptr, "", "[1, 262144]", "Width between layers."},
    {"layers", "int", nullptr, "", "[1, 1000]", "Decoder layers."},
    {"heads", "int", nullptr, "", "[1, 65536]", "Query heads."},
    {"kv_heads", "int", "null", "", "[1, 65536]", "Key/value heads; null: as many as heads."},
    {"head_dim", "int", "null", "", "[2, 65536]", "Width of a head; null: dim / heads."},
    {"norm_eps", "float", "1e-5", "", "> 0", "Epsilon of the norms."},
    {"positions", "int", "2048", "tokens", "[1, 16777216]",
     "The most positions of a sequence; training sets its own."},
    {"position", "rope|sinusoidal", "rope", "", "",
     "Rotation in attention, or fixed sinusoids added to the embedding."},
    {"rope_theta", "float", "500000", "", "> 0", "Base of the rotation wavelengths."},
    {"rope_scaling", "map", "null", "", "", "factor, low, high, original: stretches long wavelengths."},
    {"nope_interval", "int", "0", "layers", "[0, 16777216]",
     "Every so many layers one has no rotation and no chunks; 0: none."},
    {"nope_offset", "int", "0", "layers", "[0, 16777216]",
     "Layer l is such a layer when l mod interval equals this."},
    {"nope_layers", "int list", "null", "", "", "These layers instead of an interval."},
    {"chunk_size", "int", "0", "tokens", "[0, 16777216]",
     "Rotated layers attend within blocks of this size; 0: everywhere."},
    {"chunk_layers", "int list", "null", "", "", "These layers have the chunks instead of the rotated ones."},
    {"qk_norm", "bool", "false", "", "", "Weightless norm of queries and keys in rotated layers."},
    {"temperature", "map", "null", "", "",
     "scale, floor: grows queries with position in layers without rotation."},
    {"experts", "int", "0", "", "[0, 65536]", "Routed experts; 0: every layer is dense."},
    {"moe_step", "int", "1", "layers", "[1, 16777216]", "Layer l has experts when (l+1) mod step is 0."},
    {"moe_layers", "int list", "null", "", "", "These layers instead of a step."},
    {"top_k", "int", "1", "", "[1, 65536]", "Experts a token."},
    {"shared_experts", "int", "1", "", "[0, 65536]", "Shared experts, as one block of this many widths."},
    {"dense", "string or map", "swiglu", "", "",
     "Dense feed-forward: swiglu, gated; gelu, two products with biases; or a layer plugin by its name, with "
     "keys "
     "of its own as {layer: my_layer, hidden: 64}."},
    {"repeat_layers", "int list", "null", "", "",
     "These layers are applied twice in a row with the same weights."},
    {"dense_width", "int", "null", "", "[1, 16777216]",
     "Width of a dense feed-forward; null: 8/3 dim x multiplier, rounded up."},
    {"expert_width", "int", "null", "", "[1, 16777216]",
     "Width of an expert; null: the dense rule / (top_k + shared_experts)."},
    {"width_multiplier", "float", "1", "", "(0, 1000]", "Part of the rule for widths."},
    {"width_multiple_of", "int", "256", "", "[1, 16777216]", "Widths by rule are rounded up to this."},
    {"score", "sigmoid|softmax|softmax_selected", "sigmoid", "", "", "What turns router logits into scores."},
    {"score_on", "input|output", "input", "", "",
     "Where a token's score multiplies: before or after its expert."},
    {"normalise", "bool", "false", "", "", "Divide a token's scores by their sum."},
    {"score_scale", "float", "1", "", "> 0", "Multiplies the scores."},
    {"groups", "int", "0", "", "[0, 65536]", "Groups of experts for group-limited routing; 0: none."},
    {"limited_groups", "int", "0", "", "[0, 65536]", "Groups that a token may use."},
    {"load_balance_rate", "float", "0.001", "", "[0, 1000]",
     "Step of the expert bias at each optimizer step; 0: no bias."},
    {"load_balance_centre", "bool", "true", "", "", "Keep the mean of the expert bias."},
    {"bias_in_score", "bool", "false", "", "", "The expert bias changes scores too, not only the choice."},
    {"noisy", "bool", "false", "", "", "Learned noise on router logits in training."},
    {"balance_loss", "float", "0", "", ">= 0",
     "Coefficient of the load-balance loss, mean over layers; 0: none."},
    {"capacity_factor", "float", "null", "", "> 0",
     "Each expert takes int(max(ceil(S*K/E)*c, c)) choices of a sequence of S tokens, the first ones; the "
     "others are "
     "dropped: their tokens keep the residual and the shared expert. null: nothing is dropped."},
    {"dispatch", "string or map", "auto", "", "",
     "Plugin that brings tokens to their experts, or {name: ..., keys of it}. auto: local where each rank "
     "holds all "
     "experts, else all_to_all."},
    {"tied_head", "bool", "false", "", "",
     "The head uses the embedding table, which then starts small and cut at three deviations, as a head "
     "does."},
    {"head_bias", "bool", "false", "", "", "A bias on the logits."},
    {"dropout", "float", "0", "", "[0, 1)", "Dropout of the embedding and of every block's output."},
    {"attention_dropout", "float", "0", "", "[0, 1)", "Dropout of attention probabilities."},
    {"init", "depth|flat", "depth", "", "",
     "depth: output projections start smaller in later layers; flat: all alike."},
    {"init_std", "float", "0.02", "", ">= 0", "Standard deviation of the projections."},
    {"embedding_init_std", "float", "null", "", ">= 0",
     "Of the embedding; null: 1 for depth, init_std for flat and for a tied head."},
    {"lora", "map", "null", "", "",
     "rank, alpha, parameters (globs): low-rank adapters of attention, feed-forwards and experts, which "
     "alone "
     "are trained; null: none."},
};

}  // namespace caravan::llama4
