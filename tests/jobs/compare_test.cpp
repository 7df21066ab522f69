#include <gmock/gmock.h>

#include <limits>
#include <numeric>

#include "tests/jobs/close_logits.hpp"
#include "tests/jobs/convert_test.hpp"

// `caravan compare` of two models, and of one with what transformers says of it.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;

class Compare : public ConvertTest {
 protected:
  void SetUp() override {
    ConvertTest::SetUp();
    scout_ = reference_file("tiny_scout");
    if (scout_.empty()) GTEST_SKIP() << "no tiny_scout in CARAVAN_REFERENCE_DIR";
    expected_ = scout_ + "/expected_outputs.safetensors";
  }
  Outcome compare(const std::string& a, const std::string& b, const std::vector<std::string>& more = {},
                  int ranks = 0) const {
    std::vector<std::string> arguments{"compare", a, b, "--inputs", inputs_.empty() ? expected_ : inputs_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run({arguments, ranks, {}, 60});
  }
  nlohmann::json json_of_comparison(const std::string& a, const std::string& b, int code) const {
    const Outcome outcome = compare(a, b, {"--json", "--device", "host"});
    EXPECT_TRUE(ended_with(outcome, code));
    return nlohmann::json::parse(outcome.out, nullptr, false);
  }
  void expect_refused(const Outcome& outcome, int code, const std::string& why) const {
    EXPECT_TRUE(ended_with(outcome, code));
    EXPECT_THAT(outcome.last_line(), HasSubstr(why));
    EXPECT_EQ(outcome.out, "");
  }
  /// A copy of tiny_scout with one value changed.
  std::string mutated(const std::string& tensor, float value) const {
    const std::string folder = take(scout_);
    StoredTensors tensors = tensors_of(folder);
    std::memcpy(tensors.at(tensor).bytes.data() + 12 * sizeof value, &value, sizeof value);
    std::filesystem::remove(folder + "/model.safetensors");
    write_tensors(folder + "/model.safetensors", tensors);
    return folder;
  }
  /// The expected answers without the tensors of these names, and what they are then.
  std::string answers_without(const std::vector<std::string>& names) const {
    StoredTensors tensors = tensors_of(expected_);
    for (const std::string& name : names) EXPECT_EQ(tensors.erase(name), 1u) << name;
    write_tensors(file("answers.safetensors"), tensors);
    return file("answers.safetensors");
  }

  std::string scout_, expected_, inputs_;
};

TEST_F(Compare, AModelIsTheSameAsItself) {
  const nlohmann::json same = json_of_comparison(scout_, scout_, 0);

  EXPECT_EQ(same["logits"]["largest_difference"], 0);
  EXPECT_EQ(same["logits"]["largest_at"], nullptr);
  EXPECT_EQ(same["kl"], 0);
  EXPECT_EQ(same["top1_agreement"], 1);
  EXPECT_EQ(same["loss_difference"], 0);
  EXPECT_EQ(same["tokens"], 80);
  ASSERT_EQ(same["routing"].size(), 8u);
  for (const auto& layer : same["routing"]) EXPECT_EQ(layer["same_experts"], 1) << layer;
  EXPECT_EQ(same["a"]["device"], "host");
  EXPECT_EQ(same["b"]["precision"], "fp32");
  EXPECT_EQ(same["within"], true);
}

TEST_F(Compare, ACheckpointIsTheSameAsTheFolderThatItWasMadeFrom) {
  ASSERT_TRUE(ended_with(convert(scout_, file("checkpoint"), {"--to", "hdf5"}), 0));

  const Outcome outcome = compare(scout_, file("checkpoint"), {"--tolerance", "0"});

  EXPECT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.out, HasSubstr("logits   the same\n"));
  EXPECT_THAT(outcome.out, HasSubstr("experts  the same at every token in 8 of 8 layers\n"));
  EXPECT_THAT(outcome.out, HasSubstr("within the tolerance: logits 0 <= 0\n"));
}

TEST_F(Compare, AModelInBf16IsWithinAWideToleranceAlone) {
  ASSERT_TRUE(ended_with(convert(scout_, file("half"), {"--to", "hf", "--dtype", "bf16"}), 0));

  const nlohmann::json narrow = json_of_comparison(scout_, file("half"), 1);
  EXPECT_GT(narrow["logits"]["largest_difference"], 1e-3);
  EXPECT_GT(narrow["kl"], 1e-7);
  EXPECT_EQ(narrow["within"], false);
  EXPECT_TRUE(ended_with(compare(scout_, file("half"), {"--tolerance", "0.5"}), 0));
  EXPECT_TRUE(ended_with(compare(scout_, file("half"), {"--tolerance", "0.5", "--tolerance-kl", "1e-3"}), 0));
  const Outcome diverges = compare(scout_, file("half"), {"--tolerance", "0.5", "--tolerance-kl", "1e-9"});
  EXPECT_TRUE(ended_with(diverges, 1));
  EXPECT_THAT(diverges.out, HasSubstr("beyond the tolerance: logits "));
  EXPECT_THAT(diverges.out, HasSubstr(" > 1e-09\n"));
}

/// Recomputed from the answers of both sides.
TEST_F(Compare, TheLargestDifferenceHasItsPlaceAndTheMeanIsOfAllTokens) {
  ASSERT_TRUE(ended_with(convert(scout_, file("half"), {"--to", "hf", "--dtype", "bf16"}), 0));
  std::vector<std::vector<float>> logits;
  for (const std::string& model : {scout_, file("half")}) {
    ASSERT_TRUE(ended_with(caravan({"forward", "--model", model, "--inputs", expected_, "--outputs",
                                    file("out.safetensors"), "--device", "host", "--precision", "fp32"}),
                           0));
    logits.push_back(io::SafetensorsFile(file("out.safetensors")).read_as_f32("logits"));
  }
  std::size_t largest = 0;
  for (std::size_t at = 0; at < logits[0].size(); ++at)
    if (std::abs(logits[0][at] - logits[1][at]) > std::abs(logits[0][largest] - logits[1][largest]))
      largest = at;

  const nlohmann::json found = json_of_comparison(scout_, file("half"), 1);
  const nlohmann::json at = found["logits"]["largest_at"];

  const std::vector<double> each = divergences(logits[0], logits[1], 512);
  EXPECT_NEAR(found["kl"].get<double>(), std::accumulate(each.begin(), each.end(), 0.0) / 80, 1e-12);
  EXPECT_EQ(at["sequence"], largest / 512 / 40);
  EXPECT_EQ(at["position"], largest / 512 % 40);
  EXPECT_EQ(at["token"], largest % 512);
  EXPECT_EQ(at["a"], logits[0][largest]);
  EXPECT_EQ(at["b"], logits[1][largest]);
}

TEST_F(Compare, ExpectedAnswersAreThoseOfTransformers) {
  for (const char* name : {"tiny_scout", "tiny_maverick"}) {
    CARAVAN_NEED_REFERENCE(model, name);
    inputs_ = model + "/expected_outputs.safetensors";
    const nlohmann::json close = json_of_comparison(model, inputs_, 0);
    EXPECT_LT(close["logits"]["largest_difference"], 2e-5);
    EXPECT_LT(close["kl"], 1e-10);
    EXPECT_EQ(close["top1_agreement"], 1);
    EXPECT_LT(std::abs(close["loss_difference"].get<double>()), 1e-5);
    EXPECT_EQ(close["b"]["tensor"], "logits_f64");
    for (const auto& layer : close["routing"]) EXPECT_EQ(layer["same_experts"], 1) << layer;
  }
}

TEST_F(Compare, AnswersWithoutLossOrRoutingAreComparedInTheRestAndThatIsSaid) {
  CARAVAN_NEED_CASE(model, "hf_folders/attention_mask");
  inputs_ = model + "/expected_outputs.safetensors";

  const Outcome outcome = compare(model, inputs_);

  EXPECT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.out, HasSubstr("2 sequences of 20 tokens; 5 masked tokens, not compared"));
  EXPECT_THAT(outcome.out, HasSubstr("experts  not compared: B says nothing of them"));
  EXPECT_THAT(outcome.out, HasSubstr("loss     4.80687"));
  EXPECT_THAT(outcome.err, HasSubstr("holds no loss: it is computed from logits_f64"));
}

TEST_F(Compare, AChangedWeightIsFound) {
  const nlohmann::json found = json_of_comparison(scout_, mutated("model.norm.weight", 1.5F), 1);

  EXPECT_GT(found["logits"]["largest_difference"], 1e-3);
  for (const auto& layer : found["routing"]) EXPECT_EQ(layer["same_experts"], 1) << "before the last norm";
}

TEST_F(Compare, ANumberThatIsNotFiniteIsBeyondEveryTolerance) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::string model = mutated("model.norm.weight", nan);

  const Outcome outcome = compare(scout_, model, {"--tolerance", "1e30"});
  const Outcome both = compare(model, model, {"--tolerance", "1e30"});

  EXPECT_TRUE(ended_with(outcome, 1));
  EXPECT_THAT(outcome.out, HasSubstr("not finite: 0 of A, 40960 of B"));
  EXPECT_TRUE(ended_with(both, 1));
  EXPECT_THAT(both.out, HasSubstr("not finite: 40960 of A, 40960 of B"));
}

TEST_F(Compare, SidesMayRunOnOtherDevicesAndOnRanks) {
  const Outcome devices = compare(scout_, scout_, {"--device-a", "host", "--device-b", "reference"});
  EXPECT_TRUE(ended_with(devices, 0));
  EXPECT_THAT(devices.out, HasSubstr("(host, fp32)"));
  EXPECT_THAT(devices.out, HasSubstr("(reference, fp32)"));
  const Outcome ranks = compare(scout_, expected_, {"--device", "host", "--tensor", "2"}, 2);
  EXPECT_TRUE(ended_with(ranks, 0));
  EXPECT_THAT(ranks.out, HasSubstr("within the tolerance"));
  EXPECT_TRUE(ended_with(compare(scout_, mutated("model.norm.weight", 1.5F), {"--device", "host"}, 2), 1));
}

TEST_F(Compare, OtherModelsAreRefusedWithTheirNumbers) {
  CARAVAN_NEED_REFERENCE(maverick, "tiny_maverick");
  expect_refused(
      compare(scout_, maverick), 3,
      "of A alone there are choices of experts in layers.0, layers.2, layers.4, layers.6 (A has them "
      "in 8 layers, the other side in 4)");
  EXPECT_THAT(compare(scout_, maverick).err, HasSubstr("A=" + scout_ + ", B=" + maverick));
  CARAVAN_NEED_CASE(other, "hf_folders/attention_mask");
  expect_refused(compare(scout_, other), 3, "has a vocabulary of 512 tokens and " + other + " one of 97");
}

/// Before any weight is read: there are none.
TEST_F(Compare, AModelOfAnotherDepthIsRefusedAtOnce) {
  const std::string shallow = mutated("model.norm.weight", 1.F);
  auto config = nlohmann::json::parse(slurp(shallow + "/config.json"));
  config["num_hidden_layers"] = 7;
  for (const char* key : {"layer_types", "no_rope_layers"}) config[key].erase(7);
  config["moe_layers"].erase(config["moe_layers"].size() - 1);
  spill(shallow + "/config.json", config.dump());
  expect_refused(compare(scout_, shallow), 3, scout_ + " has 8 layers and " + shallow + " has 7");
}

TEST_F(Compare, AnswersOfOtherInputsOrWithTensorsMissingAreRefused) {
  CARAVAN_NEED_REFERENCE(maverick, "tiny_maverick");
  expect_refused(compare(scout_, maverick + "/expected_outputs.safetensors"), 3, "input_ids of ");
  expect_refused(
      compare(scout_, answers_without({"router.3"})), 3,
      "of A alone there are choices of experts in layers.3 (A has them in 8 layers, the other side "
      "in 7). Are they the same model?");
  expect_refused(compare(scout_, scout_ + "/model.safetensors"), 3, "holds no logits");
  std::vector<std::int64_t> ids(2 * 39, 1);
  io::SafetensorsWriter shorter(file("shorter.safetensors"));
  shorter.add("input_ids", TensorView(ids.data(), DType::i64, {2, 39}));
  shorter.commit();
  inputs_ = file("shorter.safetensors");
  expect_refused(compare(scout_, expected_), 3,
                 "has logits_f64 of 2 sequences of 40 tokens, and " + inputs_ + " has 2 of 39 tokens");
}

TEST_F(Compare, WhatIsNotThereOrWouldBeIgnoredIsRefused) {
  expect_refused(compare(scout_, file("nowhere")), 3, file("nowhere") + " does not exist");
  expect_refused(compare(file("nowhere"), scout_), 3, file("nowhere") + " does not exist");
  expect_refused(compare(expected_, scout_), 3, "holds weights alone");
  expect_refused(compare(scout_, expected_, {"--precision-b", "fp32"}), 2, "--precision-b with " + expected_);
  expect_refused(
      compare(scout_, scout_, {"--device", "host", "--device-a", "host", "--device-b", "reference"}), 2,
      "--device beside --device-a (no side is left for it)");
  EXPECT_TRUE(ended_with(compare(scout_, scout_, {"--tolerance", "-1"}), 2));
  EXPECT_TRUE(ended_with(caravan({"compare", scout_}), 2));
}

}  // namespace
}  // namespace caravan::test
