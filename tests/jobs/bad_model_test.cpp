#include <gmock/gmock.h>

#include <fstream>

#include "io/safetensors/writer.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/text/reference.hpp"

// Hugging Face folders whose weights, configuration and inputs do not belong together.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;

class BrokenFolder : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    const std::string model = reference_file("tiny_scout");
    if (model.empty()) GTEST_SKIP() << "no tiny_scout in CARAVAN_REFERENCE_DIR";
    std::filesystem::copy(model, file("model"));
    inputs_ = file("model/expected_outputs.safetensors");
  }
  void change_config(const std::string& key, const nlohmann::json& value) {
    auto config = nlohmann::json::parse(std::ifstream(file("model/config.json")));
    (config.contains("text_config") ? config["text_config"] : config)[key] = value;
    spill(file("model/config.json"), config.dump());
  }
  Outcome forward() {
    return caravan({"forward", "--model", file("model"), "--inputs", inputs_, "--outputs",
                    file("out.safetensors"), "--device", "host"});
  }
  std::string inputs_;
};

TEST_F(BrokenFolder, AMissingTensorIsNamed) {
  std::string bytes = slurp(file("model/model.safetensors"));
  const std::string name = "\"model.norm.weight\"";
  ASSERT_NE(bytes.find(name), std::string::npos);
  bytes.replace(bytes.find(name), name.size(), "\"model.nrom.weight\"");
  spill(file("model/model.safetensors"), bytes);

  const Outcome outcome = forward();

  ASSERT_TRUE(ended_with(outcome, 3));
  EXPECT_THAT(outcome.err, HasSubstr("missing: model.norm.weight; not in the model: model.nrom.weight"));
  EXPECT_FALSE(std::filesystem::exists(file("out.safetensors")));
}

TEST_F(BrokenFolder, AWrongShapeIsNamedWithBothShapes) {
  change_config("vocab_size", 600);

  const Outcome outcome = forward();

  ASSERT_TRUE(ended_with(outcome, 3));
  EXPECT_THAT(outcome.err, HasSubstr("model.embed_tokens.weight is [512, 64] instead of [600, 64]"));
}

TEST_F(BrokenFolder, ANumberThatNoModelHasIsRefusedWithItsFileAndKey) {
  const std::vector<std::pair<std::string, nlohmann::json>> cases{{"rms_norm_eps", 0},
                                                                  {"rms_norm_eps", -1},
                                                                  {"num_key_value_heads", 3},
                                                                  {"head_dim", 15},
                                                                  {"floor_scale", 0}};
  const std::string whole = slurp(file("model/config.json"));
  for (const auto& [key, value] : cases) {
    spill(file("model/config.json"), whole);
    change_config(key, value);
    const Outcome outcome = forward();
    EXPECT_TRUE(ended_with(outcome, 3)) << key;
    EXPECT_THAT(outcome.err, HasSubstr("config.json"));
    EXPECT_THAT(outcome.err, HasSubstr(key + " is " + value.dump()));
  }
}

TEST_F(BrokenFolder, WeightsThatAreNotFiniteAreSaid) {
  std::string bytes = slurp(file("model/model.safetensors"));
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  const auto offsets =
      nlohmann::json::parse(bytes.substr(8, header)).at("model.norm.weight").at("data_offsets");
  const std::size_t begin = 8 + header + offsets[0].get<std::size_t>();
  bytes.replace(begin, 4, "\xFF\xFF\xFF\xFF");  // NaN in any type of float
  spill(file("model/model.safetensors"), bytes);

  const Outcome outcome = forward();

  EXPECT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.err,
              HasSubstr("logits are not finite (the first, of sequence 0 at position 0, is NaN)"));
}

TEST_F(BrokenFolder, TokensOutsideTheVocabularyAreNamed) {
  std::vector<std::int64_t> ids{1, 2, 512};
  inputs_ = file("inputs.safetensors");
  io::SafetensorsWriter writer(inputs_);
  writer.add("input_ids", TensorView(ids.data(), DType::i64, {1, 3}));
  writer.commit();

  const Outcome outcome = forward();

  ASSERT_TRUE(ended_with(outcome, 3));
  EXPECT_THAT(outcome.err, HasSubstr("input_ids has token 512 (the model's vocab_size is 512)"));
}

}  // namespace
}  // namespace caravan::test
