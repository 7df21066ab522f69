#include "io/hf/config_json.hpp"

#include "caravan/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using io::HfConfig;
using io::parse_hf_config;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// What every case below changes: a small text configuration.
json small() {
  return {{"model_type", "llama4_text"}, {"hidden_size", 64},        {"num_hidden_layers", 8},
          {"num_attention_heads", 4},    {"num_key_value_heads", 2}, {"head_dim", 16},
          {"vocab_size", 512},           {"num_local_experts", 4}};
}

HfConfig with(const json& changes) {
  json object = small();
  object.update(changes);
  return parse_hf_config(object.dump(), "c.json");
}

std::string refusal(const json& changes) {
  return message_of<IoError>([&] { with(changes); });
}

std::vector<std::int64_t> layers_of(const HfConfig& config, const char* key) {
  return config.model.at(key).as_int_list();
}

TEST(HfConfig, AbsentKeysHaveTheClasssDefaults) {
  const Config model = parse_hf_config(R"({"model_type":"llama4_text"})", "c.json").model;
  EXPECT_EQ(model.get_int("vocab_size"), 202048);
  EXPECT_EQ(model.get_int("dim"), 5120);
  EXPECT_EQ(model.get_int("layers"), 48);
  EXPECT_EQ(model.get_int("heads"), 40);
  EXPECT_EQ(model.get_int("kv_heads"), 8);
  EXPECT_EQ(model.get_int("head_dim"), 128);
  EXPECT_EQ(model.get_float("norm_eps"), 1e-5);
  EXPECT_EQ(model.get_float("rope_theta"), 500000);
  EXPECT_TRUE(model.at("rope_scaling").is_null());
  EXPECT_EQ(model.at("nope_layers").as_int_list().size(), 12u);
  EXPECT_EQ(model.get_int("chunk_size"), 8192);
  EXPECT_TRUE(model.get_bool("qk_norm"));
  EXPECT_EQ(model.at("temperature").get_float("scale"), 0.1);
  EXPECT_EQ(model.at("temperature").get_float("floor"), 8192);
  EXPECT_EQ(model.at("moe_layers").as_int_list().size(), 48u);
  EXPECT_EQ(model.get_int("experts"), 16);
  EXPECT_EQ(model.get_int("top_k"), 1);
  EXPECT_EQ(model.get_int("dense_width"), 16384);
  EXPECT_EQ(model.get_int("expert_width"), 8192);
  EXPECT_EQ(model.get_int("shared_experts"), 1);
  EXPECT_EQ(model.get_string("score"), "sigmoid");
  EXPECT_EQ(model.get_string("score_on"), "input");
  EXPECT_FALSE(model.get_bool("normalise"));
  EXPECT_EQ(model.get_float("score_scale"), 1);
  EXPECT_FALSE(model.get_bool("tied_head"));
  EXPECT_EQ(model.get_float("load_balance_rate"), 0);
}

TEST(HfConfig, LayersWithoutRopeAreThoseMarkedZero) {
  EXPECT_THAT(layers_of(with({{"no_rope_layers", {1, 0, 1, 1, 0, 1, 1, 1}}}), "nope_layers"),
              ElementsAre(1, 4));
  EXPECT_THAT(
      layers_of(with({{"no_rope_layers", {true, false, true, true, true, true, true, true}}}), "nope_layers"),
      ElementsAre(1));
}

TEST(HfConfig, NullAndEmptyListsOfRopeMeanTheInterval) {
  for (const json& list : {json(nullptr), json::array()}) {
    EXPECT_THAT(layers_of(with({{"no_rope_layers", list}}), "nope_layers"), ElementsAre(3, 7));
  }
  EXPECT_THAT(layers_of(with({{"no_rope_layer_interval", 3}}), "nope_layers"), ElementsAre(2, 5));
  EXPECT_THAT(refusal({{"no_rope_layers", {1, 1}}}),
              HasSubstr("no_rope_layers is a list (it has 2 entries for 8 layers)"));
}

TEST(HfConfig, TemperatureTuningIsABooleanOrANumber) {
  EXPECT_FALSE(with({{"attn_temperature_tuning", 4}}).model.at("temperature").is_null());
  EXPECT_FALSE(
      with({{"attn_temperature_tuning", true}, {"floor_scale", 8}}).model.at("temperature").is_null());
  EXPECT_TRUE(with({{"attn_temperature_tuning", 0}}).model.at("temperature").is_null());
  EXPECT_TRUE(with({{"attn_temperature_tuning", false}}).model.at("temperature").is_null());
  EXPECT_THAT(refusal({{"attn_temperature_tuning", "yes"}}), HasSubstr("true, false or a number is needed"));
}

TEST(HfConfig, RopeScalingStandsUnderEitherKey) {
  const json llama3 = {{"factor", 16.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 1.5},
                       {"original_max_position_embeddings", 8192}};
  json old = llama3, recent = llama3;
  old["type"] = "llama3";
  recent["rope_type"] = "llama3";
  recent["rope_theta"] = 10000.0;
  const Config a = with({{"rope_scaling", old}, {"rope_theta", 20000.0}}).model;
  const Config b = with({{"rope_parameters", recent}}).model;
  for (const Config& model : {a, b}) {
    EXPECT_EQ(model.at("rope_scaling").get_float("factor"), 16);
    EXPECT_EQ(model.at("rope_scaling").get_float("low"), 1);
    EXPECT_EQ(model.at("rope_scaling").get_float("high"), 1.5);
    EXPECT_EQ(model.at("rope_scaling").get_float("original"), 8192);
  }
  EXPECT_EQ(a.get_float("rope_theta"), 20000);
  EXPECT_EQ(b.get_float("rope_theta"), 10000);
  EXPECT_TRUE(with({{"rope_scaling", nullptr}}).model.at("rope_scaling").is_null());
  EXPECT_TRUE(with({{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 5}}}})
                  .model.at("rope_scaling")
                  .is_null());
}

TEST(HfConfig, OtherRopesAreRefused) {
  EXPECT_THAT(refusal({{"rope_scaling", {{"rope_type", "yarn"}}}}),
              HasSubstr("rope_type is 'yarn' (only default and llama3)"));
  EXPECT_THAT(refusal({{"rope_scaling", {{"rope_type", "llama3"}}}}),
              HasSubstr("rope_scaling lacks 'factor'"));
  EXPECT_THAT(refusal({{"rope_theta", 1.0}, {"rope_parameters", {{"rope_theta", 2.0}}}}),
              HasSubstr("rope_theta is 1.0"));
}

TEST(HfConfig, MoeLayersAreAListOrAStep) {
  EXPECT_THAT(layers_of(with({{"moe_layers", {2, 5}}, {"interleave_moe_layer_step", 1}}), "moe_layers"),
              ElementsAre(2, 5));
  EXPECT_THAT(layers_of(with({{"moe_layers", nullptr}, {"interleave_moe_layer_step", 2}}), "moe_layers"),
              ElementsAre(1, 3, 5, 7));
  EXPECT_THAT(layers_of(with({{"moe_layers", json::array()}}), "moe_layers"), IsEmpty());
  EXPECT_THAT(refusal({{"moe_layers", {8}}}), HasSubstr("moe_layers is a list (the layers are 0 to 7)"));
  EXPECT_THAT(refusal({{"interleave_moe_layer_step", 0}}),
              HasSubstr("interleave_moe_layer_step is 0 (at least 1 is needed)"));
}

TEST(HfConfig, NullMeansWhatTheClassMakesOfIt) {
  EXPECT_EQ(with({{"attention_chunk_size", nullptr}}).model.get_int("chunk_size"), 0);
  EXPECT_EQ(with({{"num_key_value_heads", nullptr}}).model.get_int("kv_heads"), 4);
  EXPECT_EQ(with({{"head_dim", nullptr}, {"hidden_size", 128}}).model.get_int("head_dim"), 32);
}

TEST(HfConfig, LayerTypesMustAgreeWithRope) {
  json types = json::array();
  for (int layer = 0; layer < 8; ++layer)
    types.push_back(layer % 4 == 3 ? "full_attention" : "chunked_attention");
  EXPECT_EQ(with({{"layer_types", types}}).model.get_int("chunk_size"), 8192);
  types[0] = "full_attention";
  EXPECT_THAT(refusal({{"layer_types", types}}),
              HasSubstr("layer_types is a list (chunked_attention is needed where"));
}

TEST(HfConfig, AMultimodalFileGivesItsTextPart) {
  const json outer = {{"model_type", "llama4"},
                      {"text_config", small()},
                      {"vision_config", {{"hidden_size", 1408}}},
                      {"eos_token_id", {200001, 200007}},
                      {"tie_word_embeddings", true}};
  const HfConfig config = parse_hf_config(outer.dump(), "c.json");
  EXPECT_EQ(config.model.get_int("dim"), 64);
  EXPECT_TRUE(config.model.get_bool("tied_head"));
  EXPECT_THAT(config.eos, ElementsAre(200001, 200007));
  EXPECT_THAT(config.notes, ElementsAre(HasSubstr("the vision part of c.json is left out")));
}

TEST(HfConfig, TokenIdsAreOneOrMany) {
  EXPECT_THAT(with({{"eos_token_id", 2}}).eos, ElementsAre(2));
  const HfConfig many = with({{"eos_token_id", {1, 2, 3}}, {"bos_token_id", 7}, {"pad_token_id", nullptr}});
  EXPECT_THAT(many.eos, ElementsAre(1, 2, 3));
  EXPECT_EQ(many.bos, 7);
  EXPECT_FALSE(many.pad);
}

TEST(HfConfig, TheGenerationConfigHasTheLastWordOnIds) {
  TemporaryFolder folder;
  json object = small();
  object["eos_token_id"] = 2;
  spill(folder.file("config.json"), object.dump());
  spill(folder.file("generation_config.json"), R"({"eos_token_id":[200001,200007,200008]})");
  EXPECT_THAT(io::read_hf_config(folder.path()).eos, ElementsAre(200001, 200007, 200008));
}

TEST(HfConfig, WhatCannotBeExpressedIsRefused) {
  EXPECT_THAT(refusal({{"model_type", "qwen3"}}),
              HasSubstr("model_type is 'qwen3' (llama4 and llama4_text are read)"));
  EXPECT_THAT(refusal({{"hidden_act", "gelu"}}), HasSubstr("hidden_act is 'gelu' (only silu)"));
  EXPECT_THAT(refusal({{"attention_bias", true}}), HasSubstr("attention_bias is true"));
  EXPECT_THAT(refusal({{"quantization_config", {{"bits", 4}}}}),
              HasSubstr("only unquantised weights are read"));
  EXPECT_THAT(refusal({{"num_experts_per_tok", 5}}),
              HasSubstr("num_experts_per_tok is 5 (there are 4 experts)"));
  EXPECT_THAT(refusal({{"hidden_size", "64"}}),
              HasSubstr("hidden_size is \"64\" (a whole number is needed)"));
  EXPECT_THAT(refusal({{"hidden_size", -1}}), HasSubstr("hidden_size is -1 (at least 1 is needed)"));
  EXPECT_THAT(refusal({{"num_hidden_layers", 1000000}}), HasSubstr("at most 10000 are read"));
  EXPECT_THAT(message_of<IoError>([] { parse_hf_config("[]", "c.json"); }),
              HasSubstr("c.json is not a JSON object"));
  EXPECT_THAT(message_of<IoError>([] { io::read_hf_config("/nowhere"); }),
              HasSubstr("cannot open /nowhere/config.json"));
}

TEST(HfConfig, ReadsThoseThatTransformersWrote) {
  const char* reference = std::getenv("CARAVAN_REFERENCE_DIR");
  const std::string folder = std::string(reference ? reference : "") + "/tiny_scout";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no reference data at " << folder;
  const Config model = io::read_hf_config(folder).model;
  EXPECT_EQ(model.get_int("chunk_size"), 16);
  EXPECT_EQ(model.get_int("dense_width"), 192);
  EXPECT_EQ(model.get_int("expert_width"), 96);
  EXPECT_EQ(model.at("temperature").get_float("floor"), 8);
  EXPECT_EQ(model.at("rope_scaling").get_float("original"), 64);
  EXPECT_THAT(model.at("nope_layers").as_int_list(), ElementsAre(3, 7));
}

}  // namespace
}  // namespace caravan::test
