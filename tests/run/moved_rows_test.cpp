#include <gtest/gtest.h>

#include "tests/run/late_dispatcher.hpp"
#include "tests/run/tiny_model.hpp"

// Experts whose rows travel: a dispatcher that moves nothing before it is waited for, and leaves room for
// more rows than come. A walk that reads too early, or memory that is reused too early, gives other bits than
// experts in place.
namespace caravan::testing {
namespace {

struct Outcome {
  double loss = 0;
  std::vector<float> gradients;
  bool operator==(const Outcome&) const = default;
};

class MovedRows : public ::testing::TestWithParam<tiny::Variant> {
 protected:
  static void SetUpTestSuite() { add_late_dispatcher(); }
  void SetUp() override { traffic = {}; }

  static Config config(const char* dispatch) {
    Config config = tiny::config(GetParam().assignments);
    config.set("dispatch", dispatch);
    return config;
  }
  static StepScales scales() { return {4, 1.0f / 24, 0.25f}; }
  static std::vector<TestBatch> batches() {
    return split_sequences(random_batch(4, 7, tiny::kVocabulary, 6));
  }

  static Outcome train(const Config& config, const std::vector<Step>& row, StashMode mode, int in_flight) {
    TestModel model(config);
    tiny::fill(model, 37);
    Walker walker(model, {1, 7, Phase::train}, mode, in_flight);
    const double loss = walker.run(row, batches(), scales()).loss;
    return {loss, model.gradients()};
  }
};

INSTANTIATE_TEST_SUITE_P(Variants, MovedRows, ::testing::ValuesIn(tiny::variants()),
                         [](const auto& test) { return test.param.name; });

TEST_P(MovedRows, train_as_rows_in_place_do) {
  const Outcome in_place = train(config("local"), fused_row(4), StashMode::fused, 1);
  EXPECT_EQ(train(config("late"), fused_row(4), StashMode::fused, 1), in_place);
  EXPECT_EQ(traffic.waited, traffic.posted);
  EXPECT_EQ(traffic.posted > 0, GetParam().name != "dense");
  EXPECT_LE(traffic.most_in_flight, 1);
}

TEST_P(MovedRows, train_as_rows_in_place_do_with_the_backward_in_two_halves) {
  const Outcome in_place = train(config("local"), fused_row(4), StashMode::fused, 1);
  EXPECT_EQ(train(config("late"), split_row(4), StashMode::split, 1), in_place);
}

TEST_P(MovedRows, evaluate_as_rows_in_place_do) {
  TestModel moved(config("late")), in_place(config("local"));
  tiny::fill(moved, 37);
  tiny::fill(in_place, 37);
  const TestBatch batch = random_batch(2, 7, tiny::kVocabulary, 6);
  EXPECT_EQ(evaluate(moved, batch).logits, evaluate(in_place, batch).logits);
}

/// One micro-batch by hand, for cursors.
struct HandRun {
  HandRun(TestModel& model, const TestBatch& from, TensorView loss)
      : batch(from),
        run{.device = model.device(),
            .ops = model.device().ops(),
            .shape = batch.shape(Phase::train),
            .tokens = TensorView(batch.tokens.data(), DType::i32, {batch.length}),
            .labels = TensorView(batch.labels.data(), DType::i32, {batch.length}),
            .documents = {},
            .token_map = TokenMap::whole(batch.first_sample, batch.length),
            .seed = 4,
            .gradient_scale = 1.0f / 24,
            .sequence_scale = 0.25f,
            .loss_sum = loss,
            .balance_loss = loss,
            .overflow = TensorView(&overflow, DType::f64, {1}),
            .logits = {},
            .pending = {}} {}
  TestBatch batch;
  double overflow = 0;
  Run run;
};

TEST_P(MovedRows, hide_behind_the_other_walk_when_two_overlap) {
  TestModel model(config("late"));
  tiny::fill(model, 37);
  const auto& layers = model.stage().layers();
  Stash stash(model.device(), StashLayout(layers, {1, 7, Phase::train}, StashMode::fused, 12), 2);
  double loss = 0;
  const TensorView sum(&loss, DType::f64, {1});
  const std::vector<TestBatch> both = batches();
  HandRun first(model, both[0], sum), second(model, both[1], sum);
  const Walk forward = forward_walk(layers), backward = backward_walk(layers);
  auto alone = [&](const Walk& walk, HandRun& one, int set) { Cursor(walk, one.run, stash, set).finish(); };
  alone(forward, first, 0);
  {
    Cursor next(forward, second.run, stash, 1), last(backward, first.run, stash, 0);
    run_overlapped(next, last);
    EXPECT_TRUE(next.done() && last.done());
  }
  alone(backward, second, 1);
  EXPECT_EQ(traffic.most_in_flight, GetParam().name == "dense" ? 0 : 2);
  EXPECT_EQ(traffic.waited, traffic.posted);

  std::vector<Step> row = forward_row(2);
  row.push_back({{0, ActionKind::backward, 0}, {}});
  row.push_back({{0, ActionKind::backward, 1}, {}});
  const Outcome in_turn = train(config("local"), row, StashMode::fused, 2);
  const std::vector<float> gradients = model.gradients();
  for (std::size_t i = 0; i < gradients.size(); ++i)
    ASSERT_NEAR(gradients[i], in_turn.gradients[i], 1e-6) << i;
}

}  // namespace
}  // namespace caravan::testing
