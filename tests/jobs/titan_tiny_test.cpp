#include <fstream>

#include "io/checkpoint/reader.hpp"
#include "io/safetensors/reader.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/text/reference.hpp"

// Ten AdamW steps of torchtitan's own model code, repeated from a job file that anyone could write.
namespace caravan::test {
namespace {

constexpr double kStepTolerance = 2e-5, kWeightTolerance = 5e-4;

std::string titan_job(const std::string& device) {
  return "name: titan\ndevice: " + device + R"(
model: {vocab_size: 256, dim: 64, layers: 4, heads: 4, kv_heads: 2, width_multiple_of: 32, rope_theta: 500000,
        rope_scaling: {factor: 16, low: 1, high: 1, original: 8192}, experts: 4, moe_step: 2, load_balance_rate: 0.01}
data: {source: safetensors, path: )" +
         reference_file("titan_tiny/batches.safetensors") + R"(}
train: {steps: 10, sequence_length: 32, local_batch_size: 2, global_batch_size: 4, lr: 0.003, warmup_steps: 3,
        decay_ratio: 0, max_norm: 1.0, log_every: 1}
optimizer: {name: adamw, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1}
checkpoint: {initial_load: )" +
         reference_file("titan_tiny/initial_weights.safetensors") + "}\nmetrics: {expert_counts: true}\n";
}

struct Case {
  std::string device;
  int ranks;
};

class TitanTinyJob : public JobTest, public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    if (GetParam().device == "cuda" && !has_gpu()) GTEST_SKIP() << "no NVIDIA GPU";
    const std::string path = reference_file("titan_tiny/expected.json");
    if (path.empty()) GTEST_SKIP() << "no titan_tiny in CARAVAN_REFERENCE_DIR";
    steps_ = nlohmann::json::parse(std::ifstream(path))["steps"];
  }
  void expect_experts(const nlohmann::json& ours, const nlohmann::json& theirs) const {
    for (std::size_t index = 0; index < 2; ++index) {
      const std::string layer = "layers." + std::to_string(2 * index + 1) + ".moe.";
      for (std::size_t expert = 0; expert < 4; ++expert) {
        const std::string tail = "/" + std::to_string(expert);
        EXPECT_EQ(ours.at(layer + "tokens_per_expert" + tail), theirs["tokens_per_expert"][index][expert]);
        EXPECT_EQ(ours.at(layer + "expert_bias" + tail), theirs["expert_bias"][index][expert]);
      }
    }
  }
  nlohmann::json steps_;
};

/// Every final weight; expert biases are compared step by step.
void expect_weights(const std::string& folder) {
  const auto checkpoint = io::CheckpointReader::open(folder);
  const io::SafetensorsFile final_weights(reference_file("titan_tiny/final_weights.safetensors"));
  for (const io::SafetensorsInfo& tensor : final_weights.tensors()) {
    if (!checkpoint.has("/model/" + tensor.name)) {
      EXPECT_TRUE(tensor.name.ends_with("expert_bias")) << tensor.name;
      continue;
    }
    const auto theirs = final_weights.read_as_f32(tensor.name);
    std::vector<float> ours(theirs.size());
    checkpoint.read("/model/" + tensor.name, TensorView(ours.data(), DType::f32, tensor.shape()));
    EXPECT_LE(norm_of_difference(ours, theirs), kWeightTolerance) << tensor.name;
  }
}

TEST_P(TitanTinyJob, TenStepsAndTheFinalWeightsAreTorchtitans) {
  ASSERT_TRUE(ended_with(
      run(train(job(titan_job(GetParam().device)), "run", GetParam().ranks, {"train.precision=fp32"})), 0));
  const auto metrics = read_metrics(file("run"));
  ASSERT_EQ(metrics.size(), steps_.size());
  const std::vector<nlohmann::json> expected(steps_.begin(), steps_.end());

  EXPECT_LE(largest_relative_difference(series(metrics, "loss"), series(expected, "loss")), kStepTolerance);
  EXPECT_LE(largest_relative_difference(series(metrics, "grad_norm"), series(expected, "grad_norm")),
            kStepTolerance);
  EXPECT_LE(largest_relative_difference(series(metrics, "learning_rate"), series(expected, "lr")), 1e-12);
  for (std::size_t step = 0; step < expected.size(); ++step) expect_experts(metrics[step], expected[step]);

  expect_weights(file("run/checkpoints/step-00000010"));
}

INSTANTIATE_TEST_SUITE_P(All, TitanTinyJob,
                         ::testing::Values(Case{"host", 1}, Case{"host", 2}, Case{"reference", 2},
                                           Case{"cuda", 1}),
                         [](const auto& test) {
                           return test.param.device + "_" + std::to_string(test.param.ranks);
                         });

class TitanTinyInBf16 : public TitanTinyJob {};

TEST_P(TitanTinyInBf16, TenLossesAreTorchtitansInFp32WithinTwoPerCent) {
  const std::string yaml = job(titan_job(GetParam().device));
  ASSERT_TRUE(ended_with(run(train(yaml, "run", GetParam().ranks, {"train.precision=bf16"})), 0));
  const auto metrics = read_metrics(file("run"));
  const std::vector<nlohmann::json> expected(steps_.begin(), steps_.end());
  EXPECT_LE(largest_relative_difference(series(metrics, "loss"), series(expected, "loss")), 0.02);
}

INSTANTIATE_TEST_SUITE_P(All, TitanTinyInBf16, ::testing::Values(Case{"reference", 1}, Case{"cuda", 1}),
                         [](const auto& test) { return test.param.device; });

}  // namespace
}  // namespace caravan::test
