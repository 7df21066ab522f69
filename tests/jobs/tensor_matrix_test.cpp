#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include <fmt/format.h>

#include "jobs/plan/exchanges.hpp"
#include "jobs/setup/machine.hpp"
#include "parallel/world.hpp"
#include "tests/jobs/layout_case.hpp"
#include "tests/jobs/steps_taken.hpp"
#include "tests/support/plugin_dir.hpp"
#include "tests/support/test_device.hpp"

// Tensor ranks take the steps of one rank: every layout with models in turn, or with CARAVAN_TENSOR_CASES=N
// with N of them. Rows, vocabularies and widths are such that hardly anything divides. Runs on 2, 4 and 8
// ranks.
namespace caravan::jobs {
namespace {

constexpr double kTolerance = 1e-5;
constexpr int kSteps = 10, kSequences = 8;

/// The gradient of the larger table is summed by rows between data ranks, where it is not tied.
const std::vector<std::vector<Keys>>& factors() {
  static const std::vector<std::vector<Keys>> kAll{
      {{"train.sequence_length=37"}, {"train.sequence_length=40"}, {"train.sequence_length=64"}},
      {{"model.experts=8", "model.top_k=2"},
       {"model.experts=0"},
       {"model.experts=8", "model.moe_step=2"},
       {"model.experts=8", "model.shared_experts=0", "model.score_on=output"},
       {"model.experts=8", "model.balance_loss=0.01", "model.noisy=true"},
       {"model.experts=8", "model.top_k=2", "model.capacity_factor=0.7", "model.balance_loss=0.01"}},
      {{}, {"model.dropout=0.1", "model.attention_dropout=0.1"}},
      {{"model.tied_head=true"}, {"model.head_bias=true", "model.dense=gelu"}},
      {{"model.chunk_size=8", "model.nope_interval=2", "model.qk_norm=true"},
       {"model.position=sinusoidal"},
       {"model.kv_heads=8", "model.nope_interval=4", "model.temperature={scale: 0.1, floor: 8}"}},
      {{"train.recompute=none"}, {"train.recompute=full"}, {"train.recompute=selective"}},
      {{"model.vocab_size=193"}, {"model.vocab_size=2411"}}};
  return kAll;
}

class TensorRanks : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { setenv("CARAVAN_PLUGIN_PATH", test::plugin_dir().c_str(), 1); }
  void SetUp() override {
    static const std::string kAbsent = test::prepare_test_device(*make_registry(), *world_);
    if (!kAbsent.empty()) GTEST_SKIP() << kAbsent;
  }
  int ranks() const { return world_->size(); }

  /// Of one rank, computed once for each model.
  static const StepsTaken& alone(const ModelCase& model) {
    static std::map<std::string, StepsTaken> known;
    StepsTaken& steps = known[model.text()];
    if (steps.results.empty())
      steps = take_steps(job_of({}, model, 1, kSequences), *make_single_communicator(), kSteps);
    return steps;
  }

  void expect_equal(const LayoutCase& layout, const ModelCase& model) {
    SCOPED_TRACE(layout.text() + "; " + model.text());
    const StepsTaken& expected = alone(model);
    const StepsTaken ours = take_steps(job_of(layout, model, ranks(), kSequences), *world_, kSteps);
    EXPECT_LE(largest_difference(ours.results, expected.results), kTolerance);
    EXPECT_LE(largest_difference(ours.gradients, expected.gradients), kTolerance);
    if (layout.pipeline == 1) {
      EXPECT_EQ(ours.expert_counts, expected.expert_counts);
    }
    for (const auto& [name, values] : ours.buffers) EXPECT_EQ(values, expected.buffers.at(name)) << name;
  }

  /// Models in turn, so many for each layout, or as many as asked for.
  void expect_equal(const std::vector<LayoutCase>& layouts, int models) {
    static const std::vector<ModelCase> kAll = all_models(factors());
    constexpr std::size_t kStride = 131;  // shares no factor with their number
    const char* wanted = std::getenv("CARAVAN_TENSOR_CASES");
    const int count = wanted ? std::atoi(wanted) : models;
    ASSERT_GT(count, 0);
    std::size_t turn = 0;
    for (const LayoutCase& layout : layouts) {
      if (ranks() % layout.ranks() != 0) continue;
      for (int compared = 0; compared < count;) {
        const ModelCase& model = kAll[turn++ * kStride % kAll.size()];
        const bool has_experts = model.text().find("experts=0") == std::string::npos;
        if (layout.expert > 1 && !has_experts) continue;
        expect_equal(layout, model);
        ++compared;
      }
    }
  }

  std::unique_ptr<Communicator> world_ = parallel::make_world_communicator();
};

TEST_F(TensorRanks, take_the_steps_of_one_rank) {
  expect_equal({{.tensor = ranks()}, {.tensor = 2}}, 4);
}

TEST_F(TensorRanks, that_divide_experts_do_too) {
  expect_equal({{.tensor = ranks(), .expert = ranks()},
                {.tensor = 2, .shards = ranks() / 2, .expert = ranks()},
                {.tensor = ranks(), .expert = ranks(), .keys = {"model.dispatch=deepep"}},
                {.tensor = 2, .shards = ranks() / 2, .expert = 2}},
               2);
}

TEST_F(TensorRanks, with_shards_and_replicas_do_too) {
  expect_equal({{.tensor = ranks() / 2, .shards = 2}, {.tensor = 2, .shards = 2}, {.tensor = 4, .shards = 2}},
               2);
}

TEST_F(TensorRanks, of_replicas_that_divide_the_optimizer_do_too) {
  if (ranks() < 4) GTEST_SKIP() << "needs 2 tensor ranks x 2 replicas";
  expect_equal({{.tensor = 2, .expert = 2},
                {.tensor = 2, .keys = {"parallel.expert_tensor=tensor"}},
                {.tensor = 2, .keys = {"parallel.divide_optimizer=true", "parallel.reshard=never"}}},
               3);
}

TEST_F(TensorRanks, of_pipelines_do_too) {
  expect_equal({{.tensor = ranks() / 2, .pipeline = 2},
                {.tensor = 2, .pipeline = 2, .schedule = "zbv"},
                {.tensor = 2, .pipeline = 2, .schedule = "dualpipev"},
                {.tensor = 2, .shards = 2, .expert = 2, .pipeline = 2, .schedule = "interleaved_1f1b"}},
               2);
}

TEST_F(TensorRanks, that_cut_experts_do_too) {
  const Keys cut{"parallel.expert_tensor=tensor"};
  expect_equal({{.tensor = ranks(), .keys = cut},
                {.tensor = ranks() / 2, .shards = 2, .keys = cut},
                {.tensor = ranks() / 2, .shards = 2, .expert = 2, .keys = cut},
                {.tensor = 2, .shards = 2, .expert = 2, .pipeline = 2, .keys = cut}},
               2);
}

TEST_F(TensorRanks, that_overlap_do_too) {
  const Keys async{"parallel.async_tensor=true"},
      cut{"parallel.async_tensor=true", "parallel.expert_tensor=tensor"};
  expect_equal({{.tensor = ranks(), .keys = async},
                {.tensor = ranks(), .keys = cut},
                {.tensor = ranks(), .expert = ranks(), .keys = async},
                {.tensor = 2, .context = 2, .keys = async},
                {.tensor = 2, .shards = 2, .expert = 2, .keys = cut},
                {.tensor = 2, .pipeline = 2, .keys = async},
                {.tensor = 2, .pipeline = 2, .schedule = "zbv", .keys = async},
                {.tensor = 2, .pipeline = 2, .schedule = "dualpipev", .keys = async}},
               3);
}

/// 4 gathers and 4 sums of a dense layer's rows for each micro-batch, and nothing else for another such
/// layer.
TEST_F(TensorRanks, exchange_rows_eight_times_a_dense_layer) {
  constexpr std::int64_t kMicrobatches = 4, kLength = 37;
  const auto exchanged = [&](int layers, const std::string& recompute, const Keys& keys = {}) {
    const ModelCase model{{fmt::format("train.sequence_length={}", kLength), "model.experts=0",
                           fmt::format("model.layers={}", layers), "train.local_batch_size=2",
                           "train.recompute=" + recompute}};
    TrainSetup setup(job_of({.tensor = ranks(), .keys = keys}, model, ranks(), 2 * kMicrobatches), *world_);
    return step_exchanges(setup).tensor;
  };
  const auto three = exchanged(3, "none"), two = exchanged(2, "none");
  EXPECT_EQ(three.times - two.times, 8 * kMicrobatches);
  const std::int64_t block = (2 * kLength + ranks() - 1) / ranks();
  constexpr std::int64_t kDim = 24;
  EXPECT_EQ(three.bytes - two.bytes,
            static_cast<double>(8 * kMicrobatches * block * (ranks() - 1) * kDim) * sizeof(float));
  const auto repeated = exchanged(3, "full"), fewer = exchanged(2, "full");
  // Both inputs are gathered again; attention's result is the input of the feed-forward.
  EXPECT_EQ(repeated.times - fewer.times, (8 + 3) * kMicrobatches);
  const auto overlapped = exchanged(3, "full", {"parallel.async_tensor=true"});
  EXPECT_EQ(overlapped.times, repeated.times);
  EXPECT_EQ(overlapped.bytes, repeated.bytes);
}

TEST_F(TensorRanks, of_the_reference_device_do_too) {
  if (test::test_device() != "host") GTEST_SKIP() << "a comparison of devices in host memory";
  expect_equal({{.tensor = ranks(), .keys = {"device=reference"}}}, 2);
}

/// MPI has no such numbers, so their sums are our own. What is rounded differs from one rank's.
TEST_F(TensorRanks, of_bf16_begin_near_one_rank) {
  Keys bf16{"train.precision=bf16"};
  if (test::test_device() == "host") bf16.emplace_back("device=reference");  // which computes in it
  const ModelCase model{{"train.sequence_length=16", "model.experts=0"}};
  const auto self = make_single_communicator();
  const StepResult alone = take_steps(job_of({.keys = bf16}, model, 1, kSequences), *self, 1).results.front();
  for (const LayoutCase& layout :
       {LayoutCase{.tensor = ranks(), .keys = bf16}, LayoutCase{.context = ranks(), .keys = bf16}}) {
    SCOPED_TRACE(layout.text());
    const StepResult ours =
        take_steps(job_of(layout, model, ranks(), kSequences), *world_, 1).results.front();
    EXPECT_NEAR(ours.loss / alone.loss, 1, 2e-3);
    EXPECT_NEAR(ours.grad_norm / alone.grad_norm, 1, 2e-2);
  }
}

}  // namespace
}  // namespace caravan::jobs
