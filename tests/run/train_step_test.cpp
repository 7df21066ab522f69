#include "core/run/train_step.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "caravan/error.hpp"
#include "parallel/bucketed_reducer.hpp"
#include "parallel/world.hpp"
#include "tests/run/tiny_model.hpp"
#include "tests/run/trainer_fixture.hpp"
#include "tests/support/message_of.hpp"

// Every test runs on 1 and on 2 ranks, which share the sequences of a step.
namespace caravan::testing {
namespace {

constexpr std::int64_t kSequences = 4, kLength = 7;
// Adam takes a step of this size also along a gradient that is rounding alone: with 0.01 the order of sums
// decides the fifth digit of a norm on some processors.
constexpr double kRate = 0.003;

class TrainStepOnRanks : public ::testing::Test {
 protected:
  static std::vector<TestBatch> sequences(std::int64_t step) {
    return step_sequences(step, kSequences, kLength);
  }
  std::vector<TestBatch> share(std::int64_t step) const { return share_of(sequences(step), *world_); }
  TestTrainer::Setup shared() {
    return {{1, kLength, Phase::train},
            static_cast<int>(kSequences) / world_->size(),
            world_.get(),
            world_->size() > 1 ? &reducer_ : nullptr};
  }
  static TestTrainer::Setup alone() {
    return {{1, kLength, Phase::train}, static_cast<int>(kSequences), nullptr, nullptr};
  }
  static TrainStep::Settings settings(std::int64_t step) {
    return {.step = step, .lr = kRate, .max_norm = 1, .seed = 77, .global_sequences = kSequences};
  }

  std::unique_ptr<Communicator> world_ = parallel::make_world_communicator();
  parallel::BucketedReducer reducer_{*world_, 4096};
};

std::vector<float> everything(TestModel& model) {
  std::vector<float> all;
  auto take = [&](const TensorView& view) {
    const auto some = values(view);
    all.insert(all.end(), some.begin(), some.end());
  };
  for (const Fragment& fragment : model.parameters().fragments()) {
    take(fragment.master);
    for (const TensorView& slot : fragment.slots) take(slot);
  }
  for (const auto& buffer : model.parameters().buffers()) {
    if (buffer->role == Buffer::Role::state) take(buffer->data);
  }
  return all;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

struct Layout {
  std::string device;
  tiny::Variant variant;
};

/// Random numbers, sums over sequences, counts, and a parameter that two layers announce.
const std::set<std::string> kWhereRanksCouldDiffer{
    "plain", "bias_in_choice", "dropout", "noisy_balanced", "attention_dropout", "tied_head", "capacity"};

std::vector<Layout> layouts() {
  std::vector<Layout> all;
  for (const std::string& device : devices()) {
    for (const tiny::Variant& variant : tiny::variants()) {
      if (kWhereRanksCouldDiffer.contains(variant.name)) all.push_back({device, variant});
    }
  }
  return all;
}

class LayoutEquality : public TrainStepOnRanks, public ::testing::WithParamInterface<Layout> {};
INSTANTIATE_TEST_SUITE_P(Variants, LayoutEquality, ::testing::ValuesIn(layouts()),
                         [](const auto& test) { return test.param.device + "_" + test.param.variant.name; });

TEST_P(LayoutEquality, any_number_of_data_ranks_trains_as_one_does) {
  const Config config = tiny::config(GetParam().variant.assignments);
  const ModelSetup setup{.device = GetParam().device, .slots = 2};
  TestModel parted(config, setup), whole(config, setup);
  tiny::fill(parted, 31);
  tiny::fill(whole, 31);
  TestTrainer together(parted, shared()), by_itself(whole, alone());
  for (std::int64_t step = 1; step <= 10; ++step) {
    const StepResult a = together.run(share(step), settings(step)),
                     b = by_itself.run(sequences(step), settings(step));
    EXPECT_NEAR(a.loss, b.loss, 1e-5 * b.loss);
    EXPECT_NEAR(a.grad_norm, b.grad_norm, 1e-5 * b.grad_norm);
    EXPECT_NEAR(a.balance_loss, b.balance_loss, 1e-5 * b.balance_loss);
    EXPECT_EQ(a.valid_tokens, b.valid_tokens);
    EXPECT_EQ(together.expert_counts(), by_itself.expert_counts()) << "step " << step;
  }
  EXPECT_EQ(buffers_ending(parted, ".expert_bias"), buffers_ending(whole, ".expert_bias"));
}

class OneStep : public TrainStepOnRanks, public ::testing::WithParamInterface<std::string> {
 protected:
  OneStep() : model_(tiny::config({"load_balance_rate=0.1"}), {.device = GetParam(), .slots = 2}) {
    tiny::fill(model_, 3);
  }
  TestModel model_;
};
INSTANTIATE_TEST_SUITE_P(Devices, OneStep, ::testing::ValuesIn(devices()),
                         [](const auto& test) { return test.param; });

/// Decoupled AdamW as the paper writes it, in double.
struct Moments {
  double weight, m = 0, v = 0;
  void step(double gradient, std::int64_t count, double lr, double decay) {
    m = 0.9 * m + 0.1 * gradient;
    v = 0.95 * v + 0.05 * gradient * gradient;
    const double unbiased = m / (1 - std::pow(0.9, count)), root = std::sqrt(v / (1 - std::pow(0.95, count)));
    weight -= lr * decay * weight + lr * unbiased / (root + 1e-8);
  }
};

TEST_P(OneStep, keeps_the_moments_of_adamw_over_clipped_gradients) {
  TestTrainer trainer(model_, shared(), Config::parse("{weight_decay: 0.2, decay_norms: false}"));
  std::vector<std::vector<Moments>> expected;
  for (const Fragment& fragment : model_.parameters().fragments()) {
    expected.emplace_back();
    for (float weight : values(fragment.master)) expected.back().push_back({weight});
  }
  for (std::int64_t step = 1; step <= 3; ++step) {
    const StepResult result = trainer.run(share(step), settings(step));
    ASSERT_GT(result.grad_norm, 1) << "nothing to clip";
    for (std::size_t p = 0; p < expected.size(); ++p) {
      const Fragment& fragment = model_.parameters().fragments()[p];
      const Parameter& parameter = *fragment.parameter;
      const double decay = parameter.spec().kind == ParameterKind::norm ? 0 : 0.2;
      for (std::size_t i = 0; i < expected[p].size(); ++i) {
        const auto at = static_cast<std::int64_t>(i);
        Moments& moments = expected[p][i];
        moments.step(element(parameter.grad, at) / (result.grad_norm + 1e-6), step, kRate, decay);
        EXPECT_NEAR(element(fragment.slots[0], at), moments.m, 1e-6);
        EXPECT_NEAR(element(fragment.slots[1], at), moments.v, 1e-6);
        ASSERT_NEAR(element(parameter.weight, at), moments.weight, 1e-5)
            << parameter.spec().name << "[" << i << "]";
      }
    }
  }
}

TEST_P(OneStep, balances_from_the_counts_of_all_ranks) {
  const auto before = buffers_ending(model_, ".expert_bias");
  TestTrainer trainer(model_, shared());
  trainer.run(share(1), settings(1));
  const auto after = buffers_ending(model_, ".expert_bias");
  for (std::size_t layer = 0; layer < after.size(); ++layer) {
    const auto& counts = trainer.expert_counts()[layer];
    double sum = 0, mean_step = 0;
    for (float count : counts) sum += count;
    EXPECT_EQ(sum, kSequences * kLength);
    auto step_of = [&](float count) { return sum / 4 > count ? 0.1 : (sum / 4 < count ? -0.1 : 0.0); };
    for (float count : counts) mean_step += step_of(count) / 4;
    for (std::size_t e = 0; e < counts.size(); ++e) {
      EXPECT_NEAR(after[layer][e], before[layer][e] + step_of(counts[e]) - mean_step, 1e-6);
    }
  }
  for (const auto& counts : buffers_ending(model_, ".tokens_per_expert"))
    EXPECT_EQ(counts, (std::vector<float>{0, 0, 0, 0}));
}

TEST_P(OneStep, that_is_not_a_number_stops_every_rank_and_changes_nothing) {
  TestTrainer trainer(model_, shared());
  trainer.run(share(1), settings(1));
  // Only the last rank meets the poisoned row.
  std::vector<TestBatch> mine = share(2);
  for (TestBatch& batch : mine) {
    for (std::int32_t& token : batch.tokens) token = token == 12 ? 11 : token;
  }
  if (world_->rank() == world_->size() - 1) mine.back().tokens[3] = 12;
  const TensorView table = model_.weight("tok_embeddings.weight");
  const float healthy = element(table, 12 * 12);
  element(table, 12 * 12) = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> before = everything(model_);
  const std::string message = message_of<NumericalError>([&] { trainer.run(mine, settings(2)); });
  EXPECT_TRUE(message.starts_with("step 2: loss ")) << message;
  EXPECT_NE(message.find("in the batch of 4 sequences from sample 4 on (not finite, nothing was updated)"),
            std::string::npos)
      << message;
  EXPECT_TRUE(same_bits(everything(model_), before));

  // And leaves nothing behind for the next step.
  element(table, 12 * 12) = healthy;
  TestModel other(tiny::config({"load_balance_rate=0.1"}), {.device = GetParam(), .slots = 2});
  tiny::fill(other, 3);
  TestTrainer untroubled(other, shared());
  untroubled.run(share(1), settings(1));
  untroubled.run(share(2), settings(2));
  trainer.run(share(2), settings(2));
  EXPECT_EQ(trainer.expert_counts(), untroubled.expert_counts());
  EXPECT_TRUE(same_bits(everything(model_), everything(other)));
}

TEST_P(OneStep, without_a_single_label_is_refused) {
  std::vector<TestBatch> mine = share(1);
  for (TestBatch& batch : mine) batch.labels.assign(batch.labels.size(), kIgnoredLabel);
  TestTrainer trainer(model_, shared());
  EXPECT_EQ(message_of<ConfigError>([&] { trainer.run(mine, settings(7)); }),
            "step 7: every label is ignored (there is nothing to learn). Look at the data?");
}

TEST_P(OneStep, of_another_shape_is_refused) {
  const TestBatch longer = random_batch(1, kLength + 1, tiny::kVocabulary, 1);
  const std::vector<TestBatch> mine(static_cast<std::size_t>(kSequences / world_->size()), longer);
  TestTrainer trainer(model_, shared());
  EXPECT_EQ(message_of([&] { trainer.run(mine, settings(1)); }),
            "a micro-batch of 8 tokens (the stage is planned for 7)");
}

TEST(StepSeed, differs_for_every_step_and_run) {
  EXPECT_EQ(step_seed(1, 1), step_seed(1, 1));
  EXPECT_NE(step_seed(1, 1), step_seed(1, 2));
  EXPECT_NE(step_seed(1, 1), step_seed(2, 1));
}

}  // namespace
}  // namespace caravan::testing
