#pragma once

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "caravan/error.hpp"
#include "io/hf/config_json.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {

using io::HfConfig;
using io::parse_hf_config;
using nlohmann::json;

/// What every case below changes: a small text configuration.
inline json small() {
  return {{"model_type", "llama4_text"}, {"hidden_size", 64},        {"num_hidden_layers", 8},
          {"num_attention_heads", 4},    {"num_key_value_heads", 2}, {"head_dim", 16},
          {"vocab_size", 512},           {"num_local_experts", 4}};
}

inline HfConfig with(const json& changes) {
  json object = small();
  object.update(changes);
  return parse_hf_config(object.dump(), "c.json");
}

inline std::string refusal(const json& changes) {
  return message_of<IoError>([&] { with(changes); });
}

inline std::vector<std::int64_t> layers_of(const HfConfig& config, const char* key) {
  return config.model.at(key).as_int_list();
}

/// The object under rope_scaling or rope_parameters.
inline json llama3(const json& changes = json::object()) {
  json rope = {{"rope_type", "llama3"},
               {"factor", 8.0},
               {"low_freq_factor", 1.0},
               {"high_freq_factor", 4.0},
               {"original_max_position_embeddings", 16}};
  rope.update(changes);
  return rope;
}

}  // namespace caravan::test
