#pragma once

#include "caravan/abi.h"

namespace caravan::moe {

inline constexpr caravan_param kParams[] = {
    {"name", "string", nullptr, "", "", "Prefix of the parameter names, \"layers.3\"."},
    {"stream", "string", "null", "", "",
     "Name of the random streams; null: the layer's name. Repeated layers differ in it."},
    {"dim", "int", nullptr, "", "[1, 262144]", "Width between layers."},
    {"experts", "int", nullptr, "", "[1, 65536]", "Routed experts."},
    {"top_k", "int", "1", "", "[1, 65536]", "Experts a token."},
    {"hidden", "int", nullptr, "", "[1, 16777216]", "Width of a routed expert."},
    {"shared_hidden", "int", "0", "", "[0, 16777216]", "Width of the shared expert; 0: none."},
    {"norm_eps", "float", "1e-5", "", "> 0", "Epsilon of the norm."},
    {"score", "sigmoid|softmax|softmax_selected", "sigmoid", "", "", "What turns router logits into scores."},
    {"score_on", "input|output", "input", "", "",
     "Where a token's score multiplies: before or after its expert."},
    {"normalise", "bool", "false", "", "", "Divide a token's scores by their sum."},
    {"score_scale", "float", "1", "", "> 0", "Multiplies the scores."},
    {"groups", "int", "0", "", "[0, 65536]", "Split the experts into this many groups; 0: no groups."},
    {"limited_groups", "int", "0", "", "[0, 65536]", "Groups that a token may use."},
    {"load_balance_rate", "float", "0", "", "[0, 1000]",
     "Step of the expert bias at each optimizer step; 0: no bias."},
    {"load_balance_centre", "bool", "true", "", "", "Keep the mean of the expert bias."},
    {"bias_in_score", "bool", "false", "", "", "The expert bias changes scores too, not only the choice."},
    {"noisy", "bool", "false", "", "", "Add learned noise to the logits in training (Shazeer et al. 2017)."},
    {"balance_loss", "float", "0", "", ">= 0", "Coefficient of the load-balance loss; 0: none."},
    {"capacity_factor", "float", "null", "", "> 0",
     "Experts take int(max(ceil(S*K/E)*c, c)) choices of each sequence, the first ones; the others are "
     "dropped. null: "
     "all."},
    {"dropout", "float", "0", "", "[0, 1)", "Dropout of the block's output."},
    {"dispatch", "string or map", "auto", "", "",
     "Plugin that brings tokens to their experts: auto, a name, or a map of name and keys."},
    {"init_std", "float", "0.02", "", ">= 0", "Standard deviation of w1."},
    {"out_init_std", "float", "0.02", "", ">= 0", "Standard deviation of w2, w3 and the router."},
    {"lora", "map", "null", "", "", "rank, alpha, parameters: low-rank adapters; null: none."},
};

}  // namespace caravan::moe
