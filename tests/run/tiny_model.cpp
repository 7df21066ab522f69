#include "tests/run/tiny_model.hpp"

#include "caravan/random.hpp"

namespace caravan::testing::tiny {

Config config(const std::vector<std::string>& assignments) {
  Config config = Config::parse(R"(
vocab_size: 13
dim: 12
layers: 4
heads: 4
kv_heads: 2
head_dim: 4
positions: 32
rope_theta: 100
nope_interval: 4
nope_offset: 3
chunk_size: 4
experts: 4
moe_step: 2
dense_width: 10
expert_width: 6
load_balance_rate: 0
init: flat
init_std: 0.4
embedding_init_std: 1
)");
  for (const std::string& assignment : assignments) config.override_with(assignment);
  return config;
}

void fill(TestModel& model, std::uint64_t seed) {
  model.parameters().initialise(seed);
  for (const auto& parameter : model.parameters().parameters()) {
    if (parameter->spec().kind != ParameterKind::norm && parameter->spec().name != "output.bias") continue;
    for (std::int64_t i = 0; i < parameter->weight.count(); ++i) {
      element(parameter->weight, i) +=
          0.2f * normal({seed, hash_name(parameter->spec().name)}, 1, static_cast<std::uint64_t>(i));
    }
  }
  for (const auto& buffer : model.parameters().buffers()) {
    if (buffer->role != Buffer::Role::state) continue;
    for (std::int64_t i = 0; i < buffer->data.count(); ++i) {
      element(buffer->data, i) =
          0.1f * normal({seed, hash_name(buffer->name)}, 0, static_cast<std::uint64_t>(i));
    }
  }
}

const std::vector<Variant>& variants() {
  static const std::vector<Variant> kVariants{
      {"plain", {}},
      {"llama4", {"qk_norm=true", "temperature={scale: 0.3, floor: 3}"}},
      {"top_2_normalised", {"top_k=2", "normalise=true", "score_scale=1.5"}},
      {"softmax", {"top_k=2", "score=softmax"}},
      {"softmax_of_the_selected", {"top_k=3", "score=softmax_selected", "score_on=output"}},
      {"score_on_output", {"score_on=output"}},
      {"groups", {"top_k=2", "groups=2", "limited_groups=1"}},
      {"bias_in_score", {"load_balance_rate=0.1", "bias_in_score=true", "top_k=2"}},
      {"bias_in_choice", {"load_balance_rate=0.1"}},
      {"tied_head", {"tied_head=true"}},
      {"head_bias", {"head_bias=true"}},
      {"sinusoidal", {"position=sinusoidal", "chunk_size=0", "nope_interval=0"}},
      {"balance_loss", {"balance_loss=0.5", "top_k=2"}},
      {"noisy", {"noisy=true", "top_k=2"}},
      {"noisy_balanced", {"noisy=true", "balance_loss=0.5", "score=softmax", "top_k=2"}},
      {"dropout", {"dropout=0.25"}},
      {"attention_dropout", {"attention_dropout=0.25"}},
      {"no_shared_expert", {"shared_experts=0"}},
      {"no_shared_expert_dropout", {"shared_experts=0", "dropout=0.25", "score_on=output"}},
      {"two_shared_experts", {"shared_experts=2"}},
      {"capacity", {"capacity_factor=0.6", "top_k=2", "score_on=output"}},
      {"capacity_on_input",
       {"capacity_factor=0.6", "load_balance_rate=0.1", "balance_loss=0.5", "shared_experts=0"}},
      {"dense", {"experts=0"}},
      {"gelu", {"dense=gelu"}},
      {"repeated", {"repeat_layers=[0, 1]"}},
      {"scratch",
       {"position=sinusoidal", "chunk_size=0", "nope_interval=0", "dense=gelu", "repeat_layers=[0, 2]",
        "top_k=2", "score=softmax_selected", "score_on=output", "bias_in_score=true", "load_balance_rate=0.1",
        "load_balance_centre=false", "tied_head=true", "head_bias=true", "dropout=0.1",
        "attention_dropout=0.1"}},
  };
  return kVariants;
}

}  // namespace caravan::testing::tiny
