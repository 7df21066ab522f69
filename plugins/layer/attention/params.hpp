#pragma once

#include "caravan/abi.h"

namespace caravan::attention {

inline constexpr caravan_param kParams[] = {
    {"name", "string", nullptr, "", "", "Prefix of the parameter names, \"layers.3\"."},
    {"stream", "string", "null", "", "",
     "Name of the random streams; null: the layer's name. Repeated layers differ in it."},
    {"dim", "int", nullptr, "", "[1, 262144]", "Width between layers."},
    {"heads", "int", nullptr, "", "[1, 65536]", "Query heads."},
    {"kv_heads", "int", nullptr, "", "[1, 65536]", "Key/value heads; divides heads."},
    {"head_dim", "int", nullptr, "", "[2, 65536]", "Width of a head; even."},
    {"positions", "int", "2048", "tokens", "[1, 16777216]", "The most positions of a sequence."},
    {"norm_eps", "float", "1e-5", "", "> 0", "Epsilon of the norms."},
    {"rope", "bool", "true", "", "", "Rotate queries and keys; false makes a NoPE layer."},
    {"rope_theta", "float", "500000", "", "> 0", "Base of the rotation wavelengths."},
    {"rope_scaling", "map", "null", "", "", "factor, low, high, original: stretches long wavelengths."},
    {"qk_norm", "bool", "false", "", "", "Weightless norm of each query and key head after rotation."},
    {"temperature", "map", "null", "", "", "scale, floor: grows queries with their position."},
    {"chunk_size", "int", "0", "tokens", "[0, 16777216]",
     "Attend within blocks of this many positions; 0: whole sequence."},
    {"dropout", "float", "0", "", "[0, 1)", "Dropout of the block's output."},
    {"attention_dropout", "float", "0", "", "[0, 1)", "Dropout of attention probabilities."},
    {"init_std", "float", "0.02", "", ">= 0", "Standard deviation of wq, wk, wv."},
    {"out_init_std", "float", "0.02", "", ">= 0", "Standard deviation of wo."},
    {"lora", "map", "null", "", "", "rank, alpha, parameters: low-rank adapters; null: none."},
};

}  // namespace caravan::attention
