#include "tests/jobs/convert_test.hpp"

// Models there and back through the executable.
namespace caravan::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// Folders of CARAVAN_REFERENCE_DIR, and behind "cases/" of CARAVAN_CASES_DIR.
std::string folder_named(const std::string& name) {
  const std::string cases = "cases/";
  return name.starts_with(cases) ? case_file(name.substr(cases.size())) : reference_file(name);
}

class ThereAndBack : public ConvertTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    ConvertTest::SetUp();
    original_ = folder_named(GetParam());
    if (original_.empty()) GTEST_SKIP() << "no " << GetParam() << " on this machine";
  }
  std::string original_;
};

TEST_P(ThereAndBack, ACheckpointGivesEveryTensorBitByBit) {
  ASSERT_TRUE(ended_with(convert(original_, file("checkpoint"), {"--to", "hdf5"}), 0));
  ASSERT_TRUE(ended_with(convert(file("checkpoint"), file("back"), {"--to", "hf"}), 0));

  EXPECT_THAT(differences(tensors_of(original_), tensors_of(file("back"))), IsEmpty());
  EXPECT_EQ(slurp(original_ + "/config.json"), slurp(file("back/config.json")));
  EXPECT_EQ(slurp(original_ + "/generation_config.json"), slurp(file("back/generation_config.json")));
  EXPECT_THAT(left_over(), IsEmpty());
}

TEST_P(ThereAndBack, StackedLayersGiveEveryTensorBitByBit) {
  ASSERT_TRUE(ended_with(convert(original_, file("stacked"), {"--to", "hdf5", "--layout", "stacked"}), 0));
  ASSERT_TRUE(ended_with(convert(file("stacked"), file("back"), {"--to", "hf"}), 0));

  EXPECT_THAT(differences(tensors_of(original_), tensors_of(file("back"))), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Folders, ThereAndBack,
                         ::testing::Values("tiny_scout", "tiny_maverick", "cases/hf_folders/attention_mask",
                                           "cases/hf_folders/rope_scaling_beside_rope_parameters",
                                           "cases/hf_folders/single_file_beside_index",
                                           "cases/hf_folders/tied_flag_with_own_head"),
                         [](const auto& tested) {
                           const std::string name = tested.param;
                           return name.substr(name.rfind('/') + 1);
                         });

TEST_F(ConvertTest, ShardsHaveAnIndexAndAreReadAsOneFolder) {
  CARAVAN_NEED_REFERENCE(original, "tiny_maverick");

  ASSERT_TRUE(ended_with(convert(original, file("shards"), {"--to", "hf", "--shard-size", "1MB"}), 0));

  EXPECT_FALSE(std::filesystem::exists(file("shards/model.safetensors")));
  EXPECT_TRUE(std::filesystem::exists(file("shards/model-00001-of-00004.safetensors")));
  EXPECT_EQ(json_of("shards/model.safetensors.index.json").at("metadata").at("total_size"), 3911936);
  EXPECT_THAT(differences(tensors_of(original), tensors_of(file("shards"))), IsEmpty());
}

TEST_F(ConvertTest, ACheckpointOfStackedLayersIsAModelAndSaysSo) {
  CARAVAN_NEED_REFERENCE(original, "tiny_maverick");
  ASSERT_TRUE(ended_with(convert(original, file("stacked"), {"--to", "hdf5", "--layout", "stacked"}, 2), 0));
  const std::string inputs = original + "/expected_outputs.safetensors";

  const Outcome outcome = caravan({"forward", "--model", file("stacked"), "--inputs", inputs, "--outputs",
                                   file("out.safetensors"), "--device", "host", "--precision", "fp32"});
  const Outcome said = caravan({"inspect", file("stacked")});

  ASSERT_TRUE(ended_with(outcome, 0));
  const io::SafetensorsFile ours(file("out.safetensors")), expected(inputs);
  EXPECT_LT(norm_of_difference(ours.read_as_f32("logits"), expected.read_as_f32("logits")), 1e-5);
  EXPECT_THAT(said.out, HasSubstr("layers stacked"));
  EXPECT_TRUE(ended_with(caravan({"inspect", "--verify", file("stacked")}), 0));
}

TEST_F(ConvertTest, ACheckpointEndsTextsAndHasPositionsAsItsFolder) {
  CARAVAN_NEED_REFERENCE(folder, "tiny_scout");
  ASSERT_TRUE(ended_with(caravan({"convert", folder, file("h5"), "--to", "hdf5"}), 0));
  const auto answer = [&](const std::string& model) {
    const Outcome outcome = caravan({"generate", "--model", model, "--device", "reference", "--prompt-ids",
                                     "1 3", "--logit-bias", "2=1000", "--max-new-tokens", "3", "--json"});
    EXPECT_TRUE(ended_with(outcome, 0));
    return nlohmann::json::parse(outcome.out).at("stop");
  };
  EXPECT_EQ(answer(folder), "eos");
  EXPECT_EQ(answer(file("h5")), "eos");
}

TEST_F(ConvertTest, AsManyRanksAsWantedWriteTheSameBytes) {
  CARAVAN_NEED_REFERENCE(original, "tiny_scout");

  ASSERT_TRUE(ended_with(convert(original, file("checkpoint"), {"--to", "hdf5"}, 3), 0));
  ASSERT_TRUE(ended_with(convert(file("checkpoint"), file("back"), {"--to", "hf"}, 2), 0));

  EXPECT_TRUE(slurp(original + "/model.safetensors") == slurp(file("back/model.safetensors")));
  EXPECT_TRUE(ended_with(caravan({"inspect", "--verify", file("checkpoint")}), 0));
}

TEST_F(ConvertTest, ATypeIsRoundedToAndSaidInTheConfiguration) {
  CARAVAN_NEED_REFERENCE(original, "tiny_scout");

  ASSERT_TRUE(ended_with(convert(original, file("half"), {"--to", "hf", "--dtype", "bf16"}), 0));
  ASSERT_TRUE(ended_with(convert(file("half"), file("wide"), {"--to", "hf", "--dtype", "fp32"}), 0));
  ASSERT_TRUE(ended_with(convert(file("wide"), file("again"), {"--to", "hf", "--dtype", "bf16"}), 0));

  EXPECT_EQ(json_of("half/config.json").at("dtype"), "bfloat16");
  EXPECT_EQ(json_of("wide/config.json").at("dtype"), "float32");
  EXPECT_EQ(tensors_of(file("half")).at("model.norm.weight").type, "BF16");
  EXPECT_THAT(differences(tensors_of(file("half")), tensors_of(file("again"))), IsEmpty());
}

TEST_F(ConvertTest, ACheckpointOfAnotherTypeThanItsConfigurationSaysWhatItHas) {
  CARAVAN_NEED_REFERENCE(original, "tiny_scout");
  ASSERT_TRUE(ended_with(convert(original, file("half"), {"--to", "hf", "--dtype", "bf16"}), 0));
  ASSERT_TRUE(ended_with(convert(file("half"), file("wide"), {"--to", "hdf5", "--dtype", "fp32"}), 0));
  ASSERT_TRUE(ended_with(convert(file("wide"), file("back"), {"--to", "hf"}), 0));
  EXPECT_EQ(tensors_of(file("back")).at("model.norm.weight").type, "F32");
  EXPECT_EQ(json_of("back/config.json").at("dtype"), "float32");
}

/// Weights of torchtitan, which say nothing of their model.
TEST_F(ConvertTest, AHeadThatIsTiedAndStoredAllTheSameIsReadFromOneFileAsFromAFolder) {
  CARAVAN_NEED_REFERENCE(original, "tiny_scout");
  take(original);
  auto config = json_of("model/config.json");
  config["tie_word_embeddings"] = true;
  if (config.contains("text_config")) config["text_config"]["tie_word_embeddings"] = true;
  spill(file("tied.json"), config.dump());
  auto tensors = tensors_of(file("model"));
  write_tensors(file("other.safetensors"), tensors);
  tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"];
  write_tensors(file("same.safetensors"), tensors);
  const std::vector<std::string> how{"--to", "hf", "--config", file("tied.json")};

  const Outcome other = convert(file("other.safetensors"), file("with"), how);
  const Outcome same = convert(file("same.safetensors"), file("without"), how);

  ASSERT_TRUE(ended_with(other, 0));
  EXPECT_THAT(other.err, HasSubstr("tied.json ties the head, but lm_head.weight stands in"));
  EXPECT_TRUE(tensors_of(file("with")).contains("lm_head.weight"));
  ASSERT_TRUE(ended_with(same, 0));
  EXPECT_FALSE(tensors_of(file("without")).contains("lm_head.weight"));
}

TEST_F(ConvertTest, WeightsOfTorchtitanComeBackThroughHuggingFace) {
  CARAVAN_NEED_REFERENCE(weights, "titan_tiny/final_weights.safetensors");
  const std::string config =
      job("{vocab_size: 256, dim: 64, layers: 4, heads: 4, kv_heads: 2, nope_interval: 4, nope_offset: 3, "
          "experts: 4, "
          "moe_step: 2, width_multiple_of: 32, rope_scaling: {factor: 16, low: 1, high: 1, original: 8192}, "
          "load_balance_rate: 0.01}");

  const Outcome alone = convert(weights, file("hf"), {"--to", "hf"});
  ASSERT_TRUE(ended_with(convert(weights, file("hf"), {"--to", "hf", "--config", config}), 0));
  const Outcome back = convert(file("hf"), file("back.safetensors"), {"--to", "safetensors"});

  ASSERT_TRUE(ended_with(back, 0));
  EXPECT_TRUE(ended_with(alone, 2));
  EXPECT_THAT(alone.last_line(), HasSubstr("nothing says which model they are"));
  EXPECT_THAT(differences(tensors_of(weights), tensors_of(file("back.safetensors"))), IsEmpty());
  EXPECT_EQ(json_of("hf/config.json").at("no_rope_layers"), nlohmann::json({1, 1, 1, 0}));
  EXPECT_EQ(json_of("hf/config.json").at("layer_types"), nlohmann::json(4, "full_attention"));
  EXPECT_GE(json_of("hf/config.json").at("attention_chunk_size"),
            json_of("hf/config.json").at("max_position_embeddings"))
      << "transformers cannot do without a number";
  EXPECT_THAT(back.err, Not(HasSubstr("layer_types")));
  EXPECT_EQ(json_of("hf/config.json").at("moe_layers"), nlohmann::json({1, 3}));
}

/// The model that titan_tiny's weights are of, but for the key with which it declares biases of experts.
constexpr const char* kTitanTiny =
    "{vocab_size: 256, dim: 64, layers: 4, heads: 4, kv_heads: 2, nope_interval: 4, nope_offset: 3, experts: "
    "4, "
    "moe_step: 2, width_multiple_of: 32, rope_scaling: {factor: 16, low: 1, high: 1, original: 8192}, "
    "load_balance_rate: 0}";

TEST_F(ConvertTest, ExpertBiasesStayWhereTheModelDeclaresNone) {
  CARAVAN_NEED_REFERENCE(original, "titan_tiny/final_weights.safetensors");
  auto tensors = tensors_of(original);
  tensors["layers.1.moe.expert_bias"] = {"F32", {4}, std::vector<std::byte>(16, std::byte{0x3F})};
  const std::string weights = file("weights.safetensors"), config = job(kTitanTiny);
  write_tensors(weights, tensors);

  ASSERT_TRUE(
      ended_with(convert(weights, file("same.safetensors"), {"--to", "safetensors", "--config", config}), 0));
  const Outcome hf = convert(weights, file("hf"), {"--to", "hf", "--config", config}),
                ours = convert(weights, file("ours"), {"--to", "hdf5", "--config", config});

  EXPECT_THAT(differences(tensors, tensors_of(file("same.safetensors"))), IsEmpty());
  EXPECT_THAT(hf.err, HasSubstr("has no place for layers.1.moe.expert_bias"));
  EXPECT_TRUE(ended_with(ours, 3)) << "no job would read such a checkpoint";
  EXPECT_THAT(ours.last_line(), HasSubstr("load_balance_rate"));
}

TEST_F(ConvertTest, ExpertBiasesOfNoLayerOrOfAnotherShapeAreRefused) {
  CARAVAN_NEED_REFERENCE(original, "titan_tiny/final_weights.safetensors");
  const std::string weights = file("weights.safetensors"), config = job(kTitanTiny);
  const auto refusal = [&](const std::string& name, std::int64_t extent) {
    auto tensors = tensors_of(original);
    tensors[name] = {"F32", {extent}, std::vector<std::byte>(static_cast<std::size_t>(4 * extent))};
    write_tensors(weights, tensors);
    const Outcome outcome = convert(weights, file("out"), {"--to", "hdf5", "--config", config});
    EXPECT_TRUE(ended_with(outcome, 3));
    return outcome.last_line();
  };
  EXPECT_THAT(refusal("layers.0.moe.expert_bias", 4),
              HasSubstr("not in the model: layers.0.moe.expert_bias"));
  EXPECT_THAT(refusal("layers.1.moe.expert_bias", 5),
              HasSubstr("wrong shape: layers.1.moe.expert_bias is [5] instead of [4]"));
}

/// The text model of tiny_scout with a part that sees, as transformers writes it.
class Multimodal : public ConvertTest {
 protected:
  void SetUp() override {
    ConvertTest::SetUp();
    text_ = reference_file("tiny_scout");
    if (text_.empty()) GTEST_SKIP() << "no tiny_scout in CARAVAN_REFERENCE_DIR";
    std::filesystem::create_directory(file("model"));
    StoredTensors tensors;
    for (auto& [name, tensor] : tensors_of(text_)) tensors["language_model." + name] = tensor;
    for (const char* name : {"vision_model.class_embedding", "multi_modal_projector.linear_1.weight"})
      tensors[name] = {"BF16", {6, 4}, std::vector<std::byte>(48, std::byte{0x7F})};  // NaN, which stay
    write_tensors(file("model/model.safetensors"), tensors);
    const nlohmann::json config{{"model_type", "llama4"},
                                {"architectures", {"Llama4ForConditionalGeneration"}},
                                {"text_config", nlohmann::json::parse(std::ifstream(text_ + "/config.json"))},
                                {"vision_config", {{"hidden_size", 4}}}};
    spill(file("model/config.json"), config.dump());
    spill(file("model/tokenizer_config.json"), "{}");
  }
  std::string text_;
};

TEST_F(Multimodal, WeightsThatSeeGoAlongBitByBit) {
  ASSERT_TRUE(ended_with(convert(file("model"), file("checkpoint"), {"--to", "hdf5", "--dtype", "fp32"}), 0));
  ASSERT_TRUE(ended_with(convert(file("checkpoint"), file("back"), {"--to", "hf"}), 0));

  EXPECT_THAT(differences(tensors_of(file("model")), tensors_of(file("back"))), IsEmpty());
  EXPECT_EQ(slurp(file("model/config.json")), slurp(file("back/config.json")));
  EXPECT_EQ(slurp(file("back/tokenizer_config.json")), "{}");
  EXPECT_THAT(caravan({"inspect", file("checkpoint")}).out, HasSubstr("other"));
}

TEST_F(Multimodal, OneFileAndTheConfigurationAreTheModel) {
  const std::string weights = file("w.safetensors"), config = file("model/config.json");
  ASSERT_TRUE(ended_with(convert(file("model"), weights, {"--to", "safetensors"}), 0));
  ASSERT_TRUE(ended_with(convert(weights, file("back"), {"--to", "hf", "--config", config}), 0));

  EXPECT_THAT(differences(tensors_of(file("model")), tensors_of(file("back"))), IsEmpty());
  EXPECT_EQ(json_of("back/config.json").at("vision_config"),
            json_of("model/config.json").at("vision_config"));
}

TEST_F(Multimodal, TheCheckpointComputesTheTextsLogits) {
  ASSERT_TRUE(ended_with(convert(file("model"), file("checkpoint"), {"--to", "hdf5"}), 0));
  const std::string inputs = text_ + "/expected_outputs.safetensors";

  const Outcome outcome = caravan({"forward", "--model", file("checkpoint"), "--inputs", inputs, "--outputs",
                                   file("out.safetensors"), "--device", "host", "--precision", "fp32"});

  ASSERT_TRUE(ended_with(outcome, 0));
  const io::SafetensorsFile ours(file("out.safetensors")), expected(inputs);
  const auto a = ours.read_as_f32("logits"), b = expected.read_as_f32("logits");
  EXPECT_LT(norm_of_difference(a, b), 1e-5);
}

TEST_F(Multimodal, WithoutThemTheFolderIsThatOfATextModel) {
  auto tensors = tensors_of(file("model"));
  std::erase_if(tensors, [](const auto& each) { return !each.first.starts_with("language_model."); });
  write_tensors(file("model/model.safetensors"), tensors);

  const Outcome outcome = convert(file("model"), file("back"), {"--to", "hf"});

  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.err, HasSubstr("no weights of the vision part are there"));
  EXPECT_THAT(differences(tensors_of(text_), tensors_of(file("back"))), IsEmpty());
  EXPECT_EQ(json_of("back/config.json").at("architectures"), nlohmann::json({"Llama4ForCausalLM"}));
}

}  // namespace
}  // namespace caravan::test
