#include <gmock/gmock.h>

#include "tests/jobs/hf_folder.hpp"

// Hugging Face folders that contradict themselves, through the executable. Expected losses:
// transformers 5.24, float64.
namespace caravan::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr double kTolerance = 2e-5;

struct Case {
  const char* folder;
  std::vector<const char*> said;  ///< in a warning
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.folder;
}

class ReportedFolders : public HfFolder, public ::testing::WithParamInterface<Case> {};

TEST_P(ReportedFolders, GiveTransformersLogitsAndSayWhatDisagrees) {
  if (case_file("hf_folders").empty()) GTEST_SKIP() << "no hf_folders in CARAVAN_CASES_DIR";
  take(GetParam().folder);

  const Outcome outcome = forward(file("model/expected_outputs.safetensors"));

  ASSERT_TRUE(ended_with(outcome, 0));
  const io::SafetensorsFile expected(file("model/expected_outputs.safetensors"));
  const auto ours = logits(), theirs = expected.read_as_f32("logits_f64");
  const auto mask = expected.has("attention_mask") ? expected.read_as_i64("attention_mask")
                                                   : std::vector<std::int64_t>(ids_.size(), 1);
  const std::size_t vocab = ours.size() / ids_.size();
  for (std::size_t i = 0; i < ours.size(); ++i)
    ASSERT_NEAR(ours[i], mask[i / vocab] ? theirs[i] : 0, kTolerance) << "token " << i / vocab;
  for (const char* part : GetParam().said) EXPECT_THAT(outcome.err, HasSubstr(part));
  EXPECT_EQ(outcome.err.find("warning") == std::string::npos, GetParam().said.empty()) << outcome.err;
}

INSTANTIATE_TEST_SUITE_P(
    All, ReportedFolders,
    ::testing::Values(
        Case{"rope_scaling_beside_rope_parameters", {"rope_scaling and rope_parameters differ"}},
        Case{"tied_flag_with_own_head", {"tie_word_embeddings is true", "lm_head.weight stands in"}},
        Case{"single_file_beside_index", {"model.safetensors stands beside", "model.safetensors.index.json"}},
        Case{"attention_mask", {}}),
    [](const auto& instance) { return std::string(instance.param.folder); });

struct Change {
  const char* name;
  json config;
  double loss;
  const char* said;  ///< in a warning; "": none
};

void PrintTo(const Change& change, std::ostream* out) {
  *out << change.name;
}

const json kLlama3 = {{"rope_type", "llama3"},
                      {"factor", 8.0},
                      {"low_freq_factor", 1.0},
                      {"high_freq_factor", 4.0},
                      {"original_max_position_embeddings", 16}};

json with(json object, const json& changes) {
  object.update(changes);
  return object;
}

std::vector<Change> changes() {
  const json theta = {{"rope_type", "default"}, {"rope_theta", 10000.0}};
  const std::string chunked = "chunked_attention", full = "full_attention";
  return {
      {"Unchanged", json::object(), 4.6944471, ""},
      {"ThetaOfTheOtherRopeKeyIsLost",
       {{"rope_scaling", kLlama3}, {"rope_parameters", theta}},
       4.7386772,
       "differ"},
      {"AnEmptyRopeScaling",
       {{"rope_scaling", json::object()}, {"rope_parameters", with(kLlama3, {{"rope_theta", 10000.0}})}},
       4.7385549,
       ""},
      {"ThetaOutsideAndInside", {{"rope_theta", 10000.0}}, 4.6944471, "rope_theta is 10000 and"},
      {"OriginalLengthOutside",
       {{"rope_scaling", kLlama3}, {"original_max_position_embeddings", 32}},
       4.6971414,
       "original_max_position_embeddings is 32"},
      {"BothNamesOfTheType",
       {{"rope_scaling", with(kLlama3, {{"type", "default"}})}},
       4.7386772,
       "type is 'default'"},
      {"MoeLayersBeyondTheModel", {{"moe_layers", {1, 3, 5, 7}}}, 4.6944471, "moe_layers names 5, 7"},
      {"MoeLayersAndStep",
       {{"interleave_moe_layer_step", 1}},
       4.6944471,
       "interleave_moe_layer_step name other"},
      {"RopeListAndInterval",
       {{"no_rope_layer_interval", 2}},
       4.6944471,
       "no_rope_layer_interval name other"},
      {"RopeListAndLayerTypes",
       {{"no_rope_layers", {1, 0, 1, 0}}},
       4.6885703,
       "layer_types gives chunks to the layers [0, 1, 2]"},
      {"LayerTypesAllChunked", {{"layer_types", json(4, chunked)}}, 4.7184938, "layer_types"},
      {"LayerTypesAllFull", {{"layer_types", json(4, full)}}, 4.7741621, "layer_types"},
      {"LayerTypesSwapped", {{"layer_types", {full, chunked, chunked, full}}}, 4.8071705, "layer_types"},
      {"FewerLayersThanTheFile",
       {{"num_hidden_layers", 3},
        {"layer_types", json(3, chunked)},
        {"no_rope_layers", {1, 1, 1}},
        {"moe_layers", {1}}},
       4.7111440,
       "left out, as in transformers"},
  };
}

class Contradictions : public HfFolder, public ::testing::WithParamInterface<Change> {};

TEST_P(Contradictions, GiveTransformersLossAndAreSaid) {
  if (case_file("hf_folders").empty()) GTEST_SKIP() << "no hf_folders in CARAVAN_CASES_DIR";
  take("attention_mask");
  change_config(GetParam().config);

  const Outcome outcome = forward(write_inputs());

  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_NEAR(loss(), GetParam().loss, 2e-6);
  EXPECT_THAT(outcome.err, HasSubstr(GetParam().said));
  EXPECT_EQ(outcome.err.find("warning") != std::string::npos, *GetParam().said != 0) << outcome.err;
}

INSTANTIATE_TEST_SUITE_P(All, Contradictions, ::testing::ValuesIn(changes()),
                         [](const auto& instance) { return std::string(instance.param.name); });

class RefusedFolder : public HfFolder {
 protected:
  void SetUp() override {
    HfFolder::SetUp();
    if (case_file("hf_folders").empty()) GTEST_SKIP() << "no hf_folders in CARAVAN_CASES_DIR";
    take("attention_mask");
  }
  void rename_tensor(const std::string& from, const std::string& to) const {
    std::string bytes = slurp(file("model/model.safetensors"));
    bytes.replace(bytes.find('"' + from + '"') + 1, from.size(), to);
    spill(file("model/model.safetensors"), bytes);
  }
  void expect_refused(const json& config, const std::string& why) {
    change_config(config);
    const Outcome outcome = forward(write_inputs());
    EXPECT_TRUE(ended_with(outcome, 3));
    EXPECT_THAT(outcome.err, HasSubstr(why));
    EXPECT_FALSE(std::filesystem::exists(file("out.safetensors")));
  }
};

TEST_F(RefusedFolder, MissingTensorsAreNamedAsTheFolderNamesThem) {
  rename_tensor("model.layers.1.feed_forward.experts.gate_up_proj",
                "model.layers.1.feed_forward.experts.gate_up_porj");
  rename_tensor("lm_head.weight", "lm_haed.weight");
  expect_refused(json::object(),
                 "missing: model.layers.1.feed_forward.experts.gate_up_proj, lm_head.weight; "
                 "not in the model: lm_haed.weight, model.layers.1.feed_forward.experts.gate_up_porj");
}

TEST_F(RefusedFolder, ShapesOfTheFileCountAgainstTheConfiguration) {
  expect_refused({{"vocab_size", 100}}, "model.embed_tokens.weight is [97, 32] instead of [100, 32]");
  expect_refused({{"vocab_size", 97}, {"num_local_experts", 8}},
                 "model.layers.1.feed_forward.experts.gate_up_proj is [4, 32, 48] instead of [8, 32, 48]");
  expect_refused({{"num_local_experts", 4}, {"head_dim", 16}},
                 "self_attn.q_proj.weight is [32, 32] instead of [64, 32]");
}

}  // namespace
}  // namespace caravan::test
