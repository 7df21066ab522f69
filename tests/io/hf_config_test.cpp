#include <cstdlib>

#include "tests/io/hf_config_cases.hpp"

namespace caravan::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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

TEST(HfConfig, TemperatureTuningIsABooleanOrANumber) {
  EXPECT_FALSE(with({{"attn_temperature_tuning", 4}}).model.at("temperature").is_null());
  EXPECT_FALSE(
      with({{"attn_temperature_tuning", true}, {"floor_scale", 8}}).model.at("temperature").is_null());
  EXPECT_TRUE(with({{"attn_temperature_tuning", 0}}).model.at("temperature").is_null());
  EXPECT_TRUE(with({{"attn_temperature_tuning", false}}).model.at("temperature").is_null());
  EXPECT_THAT(refusal({{"attn_temperature_tuning", "yes"}}), HasSubstr("true, false or a number is needed"));
}

TEST(HfConfig, MoeLayersAreAListOrAStep) {
  EXPECT_THAT(layers_of(with({{"moe_layers", {2, 5}}, {"interleave_moe_layer_step", 1}}), "moe_layers"),
              ElementsAre(2, 5));
  EXPECT_THAT(layers_of(with({{"moe_layers", nullptr}, {"interleave_moe_layer_step", 2}}), "moe_layers"),
              ElementsAre(1, 3, 5, 7));
  EXPECT_THAT(layers_of(with({{"moe_layers", json::array()}}), "moe_layers"), IsEmpty());
  const HfConfig longer = with({{"moe_layers", {9, 5, 8, 2, 2, -1}}});
  EXPECT_THAT(layers_of(longer, "moe_layers"), ElementsAre(2, 5));
  EXPECT_THAT(longer.warnings,
              ElementsAre(HasSubstr("moe_layers names -1, 8, 9, but num_hidden_layers is 8")));
  EXPECT_THAT(with({{"moe_layers", {2, 5}}, {"interleave_moe_layer_step", 1}}).warnings,
              ElementsAre(HasSubstr("moe_layers and interleave_moe_layer_step name other layers")));
  EXPECT_THAT(refusal({{"interleave_moe_layer_step", 0}}),
              HasSubstr("interleave_moe_layer_step is 0 (at least 1 is needed)"));
}

TEST(HfConfig, NullMeansWhatTheClassMakesOfIt) {
  EXPECT_EQ(with({{"attention_chunk_size", nullptr}}).model.get_int("chunk_size"), 0);
  EXPECT_EQ(with({{"num_key_value_heads", nullptr}}).model.get_int("kv_heads"), 4);
  EXPECT_EQ(with({{"head_dim", nullptr}, {"hidden_size", 128}}).model.get_int("head_dim"), 32);
}

TEST(HfConfig, LayerTypesSayWhereChunksAreAndRopeListsWhereRotationIs) {
  json types = json::array();
  for (int layer = 0; layer < 8; ++layer)
    types.push_back(layer % 4 == 3 ? "full_attention" : "chunked_attention");
  const HfConfig agree = with({{"layer_types", types}});
  EXPECT_EQ(agree.model.get_int("chunk_size"), 8192);
  EXPECT_TRUE(agree.model.find("chunk_layers").is_null());
  EXPECT_THAT(agree.warnings, IsEmpty());
  types[0] = "full_attention";
  types[3] = "chunked_attention";
  const HfConfig differ = with({{"layer_types", types}});
  EXPECT_THAT(layers_of(differ, "chunk_layers"), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(layers_of(differ, "nope_layers"), ElementsAre(3, 7));
  EXPECT_THAT(differ.warnings,
              ElementsAre(HasSubstr("layer_types gives chunks to the layers [1, 2, 3, 4, 5, 6]")));
  EXPECT_EQ(with({{"layer_types", json(8, "full_attention")}}).model.get_int("chunk_size"), 0);
}

TEST(HfConfig, LayerTypesThatTransformersRefusesAreRefused) {
  EXPECT_THAT(refusal({{"layer_types", json(7, "full_attention")}}),
              HasSubstr("it has 7 entries for 8 layers"));
  EXPECT_THAT(refusal({{"layer_types", json(8, "sliding_attention")}}),
              HasSubstr("must be chunked_attention or full_attention"));
  EXPECT_THAT(refusal({{"layer_types", json(8, "chunked_attention")}, {"attention_chunk_size", nullptr}}),
              HasSubstr("layer_types has chunked_attention in 0, 1"));
  EXPECT_THAT(refusal({{"attention_chunk_size", 0}}), HasSubstr("attention_chunk_size is 0"));
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

TEST(HfConfig, KeysOutsideTheTextPartHaveNoEffectAndAreSaid) {
  json outer = {{"model_type", "llama4"},
                {"text_config", small()},
                {"num_hidden_layers", 3},
                {"hidden_size", 64},
                {"rope_theta", 1.0}};
  const HfConfig config = parse_hf_config(outer.dump(), "c.json");
  EXPECT_EQ(config.model.get_int("layers"), 8);
  EXPECT_EQ(config.model.get_float("rope_theta"), 500000);
  EXPECT_THAT(config.warnings, ElementsAre(HasSubstr("num_hidden_layers, rope_theta outside text_config")));
  outer["rope_scaling"] = llama3();
  EXPECT_THAT(message_of<IoError>([&] { parse_hf_config(outer.dump(), "c.json"); }),
              HasSubstr("it belongs into text_config"));
}

TEST(HfConfig, ThePartsMustBelongToTheType) {
  EXPECT_THAT(refusal({{"model_type", "llama4"}}), HasSubstr("lacks 'text_config'"));
  EXPECT_THAT(refusal({{"text_config", small()}}), HasSubstr("model_type llama4_text has none"));
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
  const HfConfig config = io::read_hf_config(folder.path());
  EXPECT_THAT(config.eos, ElementsAre(200001, 200007, 200008));
  EXPECT_THAT(config.warnings,
              ElementsAre(HasSubstr("eos_token_id is [2] in config.json and [200001, 200007, 200008]")));
  spill(folder.file("generation_config.json"), R"({"eos_token_id":null})");
  EXPECT_THAT(io::read_hf_config(folder.path()).eos, IsEmpty());
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
  EXPECT_THAT(refusal({{"rms_norm_eps", nullptr}}),
              HasSubstr("rms_norm_eps is null (it has no meaning without a value"));
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