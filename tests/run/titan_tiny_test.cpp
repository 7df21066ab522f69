#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/run/lr_schedule.hpp"
#include "io/safetensors/reader.hpp"
#include "parallel/bucketed_reducer.hpp"
#include "parallel/world.hpp"
#include "tests/run/trainer_fixture.hpp"
#include "tests/text/reference.hpp"

// Ten AdamW steps against torchtitan's own model code in fp32: accumulation over two micro-batches, ignored
// labels, clipping, warm-up and balancing of experts. On two ranks each takes one of the micro-batches.
namespace caravan::testing {
namespace {

constexpr std::int64_t kBatch = 2, kLength = 32, kMicro = 2;
constexpr double kStepTolerance = 2e-5, kWeightTolerance = 5e-4, kGradientTolerance = 1e-4;

Config titan_config() {
  return Config::parse(R"(
vocab_size: 256
dim: 64
layers: 4
heads: 4
kv_heads: 2
width_multiple_of: 32
rope_theta: 500000
rope_scaling: {factor: 16, low: 1, high: 1, original: 8192}
positions: 32
experts: 4
moe_step: 2
load_balance_rate: 0.01
)");
}

std::string file(const std::string& name) {
  return caravan::test::reference_file("titan_tiny/" + name);
}

/// |a − b| / |b| over all elements.
double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    size += static_cast<double>(b[i]) * b[i];
  }
  return std::sqrt(difference / size);
}

class TitanTiny : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (file("expected.json").empty()) GTEST_SKIP() << "no titan_tiny in CARAVAN_REFERENCE_DIR";
    expected_ = nlohmann::json::parse(std::ifstream(file("expected.json")));
    batches_ = std::make_unique<io::SafetensorsFile>(file("batches.safetensors"));
    tokens_ = batches_->read_as_i64("tokens");
    labels_ = batches_->read_as_i64("labels");
  }

  static void load(TestModel& model, const std::string& name) {
    const io::SafetensorsFile weights(file(name));
    for (const std::string& part : model.names()) model.set(part, weights.read_as_f32(part));
    EXPECT_EQ(weights.tensors().size(), model.names().size());
  }

  TestBatch batch(std::int64_t step, std::int64_t micro) const {
    TestBatch batch{kBatch, kLength, {}, {}};
    const std::int64_t first = (step * kMicro + micro) * kBatch;
    for (std::int64_t t = 0; t < kBatch * kLength; ++t) {
      const std::int64_t row = first + t / kLength, column = t % kLength;
      batch.tokens.push_back(
          static_cast<std::int32_t>(tokens_[static_cast<std::size_t>(row * (kLength + 1) + column)]));
      batch.labels.push_back(
          static_cast<std::int32_t>(labels_[static_cast<std::size_t>(row * kLength + column)]));
    }
    batch.first_sample = first;
    return batch;
  }

  /// The micro-batches of this rank.
  std::vector<TestBatch> share(std::int64_t step) const {
    std::vector<TestBatch> mine;
    for (std::int64_t micro = world_->rank(); micro < kMicro; micro += world_->size())
      mine.push_back(batch(step, micro));
    return mine;
  }

  void expect_step(std::int64_t step, const StepResult& result, const TestTrainer& trainer,
                   TestModel& model) const {
    const nlohmann::json& e = expected_["steps"][static_cast<std::size_t>(step)];
    EXPECT_NEAR(result.loss, e["loss"], kStepTolerance * e["loss"].get<double>());
    EXPECT_NEAR(result.grad_norm, e["grad_norm"], kStepTolerance * e["grad_norm"].get<double>());
    EXPECT_EQ(trainer.expert_counts(), e["tokens_per_expert"].get<std::vector<std::vector<float>>>());
    const auto bias = e["expert_bias"].get<std::vector<std::vector<float>>>();
    const auto ours = buffers_ending(model, ".expert_bias");
    ASSERT_EQ(ours.size(), bias.size());
    for (std::size_t layer = 0; layer < bias.size(); ++layer) {
      for (std::size_t expert = 0; expert < bias[layer].size(); ++expert) {
        EXPECT_NEAR(ours[layer][expert], bias[layer][expert], 1e-8);  // sums of ±0.01 in fp32
      }
    }
  }

  std::unique_ptr<Communicator> world_ = parallel::make_world_communicator();
  parallel::BucketedReducer reducer_{*world_};
  nlohmann::json expected_;
  std::unique_ptr<io::SafetensorsFile> batches_;
  std::vector<std::int64_t> tokens_, labels_;
};

INSTANTIATE_TEST_SUITE_P(Devices, TitanTiny, ::testing::ValuesIn(devices()),
                         [](const auto& test) { return test.param; });

TEST_P(TitanTiny, ten_steps_are_those_of_torchtitan) {
  TestModel model(titan_config(), {.device = GetParam(), .slots = 2});
  load(model, "initial_weights.safetensors");
  TestTrainer trainer(model, {{kBatch, kLength, Phase::train},
                              static_cast<int>(kMicro) / world_->size(),
                              world_.get(),
                              world_->size() > 1 ? &reducer_ : nullptr});
  const LrSchedule schedule{.lr = 0.003, .total_steps = 10, .warmup_steps = 3, .decay_ratio = 0};
  for (std::int64_t step = 0; step < 10; ++step) {
    SCOPED_TRACE("step " + std::to_string(step + 1));
    const double lr = schedule.at(step + 1);
    EXPECT_DOUBLE_EQ(lr, expected_["steps"][static_cast<std::size_t>(step)]["lr"]);
    const StepResult result = trainer.run(
        share(step), {.step = step + 1, .lr = lr, .max_norm = 1, .global_sequences = kMicro * kBatch});
    expect_step(step, result, trainer, model);
  }
  const io::SafetensorsFile final_weights(file("final_weights.safetensors"));
  for (const std::string& name : model.names()) {
    EXPECT_LT(relative_difference(values(model.weight(name)), final_weights.read_as_f32(name)),
              kWeightTolerance)
        << name;
  }
}

TEST_P(TitanTiny, first_logits_and_gradients_are_those_of_torchtitan) {
  TestModel model(titan_config(), {.device = GetParam(), .slots = 2});
  load(model, "initial_weights.safetensors");
  const std::vector<float> logits = evaluate(model, batch(0, 0)).logits;
  const std::vector<float> expected = batches_->read_as_f32("step1_logits_first_microbatch");
  for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(logits[i], expected[i], 2e-5) << i;

  TestTrainer trainer(model, {{kBatch, kLength, Phase::train},
                              static_cast<int>(kMicro) / world_->size(),
                              world_.get(),
                              world_->size() > 1 ? &reducer_ : nullptr});
  trainer.run(share(0), {.step = 1, .lr = 0, .global_sequences = kMicro * kBatch});
  const io::SafetensorsFile gradients(file("step1_grads.safetensors"));
  for (const std::string& name : model.names()) {
    EXPECT_LT(relative_difference(values(model.grad(name)), gradients.read_as_f32(name)), kGradientTolerance)
        << name;
  }
}

}  // namespace
}  // namespace caravan::testing
