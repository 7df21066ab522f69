#include <gtest/gtest.h>

#include <cmath>

#include "tests/run/tiny_model.hpp"

// What must not depend on how a step is walked: fused or split backward, micro-batches, order, repetition.
namespace caravan::testing {
namespace {

constexpr std::uint64_t kSeed = 9;

Step step_of(ActionKind kind, int microbatch) {
  return {{0, kind, microbatch}, {}};
}

struct Outcome {
  Sums sums;
  std::vector<float> gradients;
};

struct Case {
  std::string device;
  tiny::Variant variant;
};

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const std::string& device : devices()) {
    for (const tiny::Variant& variant : tiny::variants()) cases.push_back({device, variant});
  }
  return cases;
}

class WalkProperties : public ::testing::TestWithParam<Case> {
 protected:
  WalkProperties()
      : model_(tiny::config(GetParam().variant.assignments), {.device = GetParam().device}),
        batch_(random_batch(4, 7, tiny::kVocabulary, 21)) {
    tiny::fill(model_, 17);
    batch_.first_sample = 12;
    for (std::size_t token : {0, 1, 2, 3, 4, 8, 22, 25})
      batch_.labels[token] = kIgnoredLabel;  // unevenly spread
  }

  StepScales scales() const {
    return {kSeed, static_cast<float>(1.0 / static_cast<double>(batch_.valid())), 0.25f};
  }

  Outcome walk(const std::vector<Step>& row, const std::vector<TestBatch>& batches, StashMode mode,
               int in_flight) {
    Walker walker(model_, batches.front().shape(Phase::train), mode, in_flight);
    model_.parameters().start_gradients(model_.device());
    const Sums sums = walker.run(row, batches, scales());
    return {sums, model_.gradients()};
  }

  /// fp32 with sums in double, or in blocks whose extent depends on the micro-batch and the processor: such
  /// rounding, 1e-6 of a gradient in the last layer, has grown to 2e-5 in the first of these models.
  double rounding() const { return GetParam().device == "reference" ? 2e-6 : 2e-5; }
  /// A tied head adds to its table in forward, the embedding in W: their order is that of the row.
  bool order_matters() const { return tiny::config(GetParam().variant.assignments).has("tied_head"); }

  void expect_same_bits(const Outcome& a, const Outcome& b) {
    EXPECT_EQ(a.sums.loss, b.sums.loss);
    EXPECT_EQ(a.sums.balance, b.sums.balance);
    EXPECT_EQ(a.gradients, b.gradients);
  }

  void expect_close(const Outcome& a, const Outcome& b, double relative) {
    EXPECT_NEAR(a.sums.loss, b.sums.loss, relative * std::abs(b.sums.loss));
    EXPECT_NEAR(a.sums.balance, b.sums.balance, relative * std::abs(b.sums.balance));
    double difference = 0, size = 0;
    for (std::size_t i = 0; i < a.gradients.size(); ++i) {
      difference += std::pow(static_cast<double>(a.gradients[i]) - b.gradients[i], 2);
      size += std::pow(b.gradients[i], 2);
    }
    EXPECT_LE(std::sqrt(difference), relative * std::sqrt(size));
  }

  TestModel model_;
  TestBatch batch_;
};

INSTANTIATE_TEST_SUITE_P(Variants, WalkProperties, ::testing::ValuesIn(all_cases()),
                         [](const auto& test) { return test.param.device + "_" + test.param.variant.name; });

TEST_P(WalkProperties, backward_is_its_two_halves_bit_for_bit) {
  const std::vector<TestBatch> batches = split_sequences(batch_);
  const Outcome fused = walk(fused_row(4), batches, StashMode::fused, 1);
  expect_same_bits(walk(split_row(4), batches, StashMode::split, 1), fused);
  expect_same_bits(walk(fused_row(4), batches, StashMode::split, 1), fused);
}

TEST_P(WalkProperties, weight_gradients_may_come_later) {
  const std::vector<TestBatch> batches = split_sequences(batch_);
  std::vector<Step> late;
  for (int m = 0; m < 4; ++m) {
    late.insert(late.end(), {step_of(ActionKind::forward, m), step_of(ActionKind::backward_input, m)});
  }
  for (int m = 0; m < 4; ++m) late.push_back(step_of(ActionKind::backward_weight, m));
  const Outcome fused = walk(fused_row(4), batches, StashMode::fused, 1);
  if (order_matters()) return expect_close(walk(late, batches, StashMode::split, 4), fused, 1e-6);
  expect_same_bits(walk(late, batches, StashMode::split, 4), fused);
}

TEST_P(WalkProperties, micro_batches_in_flight_do_not_mix) {
  const std::vector<TestBatch> batches = split_sequences(batch_);
  std::vector<Step> row = forward_row(2);  // 1F1B with two in flight
  row.insert(row.end(), {step_of(ActionKind::backward, 0), step_of(ActionKind::forward, 2),
                         step_of(ActionKind::backward, 1), step_of(ActionKind::forward, 3),
                         step_of(ActionKind::backward, 2), step_of(ActionKind::backward, 3)});
  const Outcome apart = walk(fused_row(4), batches, StashMode::fused, 1);
  const Outcome together = walk(row, batches, StashMode::fused, 2);
  if (order_matters()) return expect_close(together, apart, 1e-6);
  expect_same_bits(together, apart);
}

TEST_P(WalkProperties, one_micro_batch_of_four_is_four_of_one) {
  const Outcome one = walk(fused_row(1), {batch_}, StashMode::fused, 1);
  expect_close(walk(fused_row(4), split_sequences(batch_), StashMode::fused, 1), one, rounding());
}

TEST_P(WalkProperties, a_repeated_forward_has_the_same_bits) {
  Walker walker(model_, batch_.shape(Phase::train), StashMode::fused);
  const std::size_t layers = model_.stage().layers().size();
  auto outputs = [&] {
    const Sums sums = walker.run(forward_row(1), batch_, scales());
    std::vector<float> all{static_cast<float>(sums.loss), static_cast<float>(sums.balance)};
    for (std::size_t layer = 0; layer + 1 < layers; ++layer) {
      const std::vector<float> y = values(walker.stash().frame(layer, 0).y);
      all.insert(all.end(), y.begin(), y.end());
    }
    return all;
  };
  const std::vector<float> first = outputs();
  EXPECT_EQ(outputs(), first);
}

TEST_P(WalkProperties, evaluation_touches_no_gradient_and_counts_nothing) {
  const TensorView gradients = model_.parameters().all_gradients();
  for (std::int64_t i = 0; i < gradients.count(); ++i) element(gradients, i) = 3;
  for (const auto& buffer : model_.parameters().buffers()) {
    if (buffer->role == Buffer::Role::counter) element(buffer->data, 0) = 5;
  }
  evaluate(model_, batch_);
  EXPECT_EQ(values(gradients), std::vector<float>(static_cast<std::size_t>(gradients.count()), 3));
  for (const auto& buffer : model_.parameters().buffers()) {
    if (buffer->role != Buffer::Role::counter) continue;
    EXPECT_EQ(values(buffer->data), (std::vector<float>{5, 0, 0, 0}));
  }
}

TEST_P(WalkProperties, training_counts_every_routed_row_once_a_pass) {
  walk(split_row(4), split_sequences(batch_), StashMode::split, 1);
  const Config config = tiny::config(GetParam().variant.assignments);
  const double rows = 28 * static_cast<double>(config.has("top_k") ? config.get_int("top_k") : 1);
  const bool twice = GetParam().variant.name == "repeated";  // layer 1 is
  for (const auto& buffer : model_.parameters().buffers()) {
    if (buffer->role != Buffer::Role::counter) continue;
    double counted = 0;
    for (float count : values(buffer->data)) counted += count;
    EXPECT_EQ(counted, twice && buffer->name.starts_with("layers.1.") ? 2 * rows : rows) << buffer->name;
  }
}

}  // namespace
}  // namespace caravan::testing
