#include <gtest/gtest.h>

#include <cmath>

#include "caravan/error.hpp"
#include "caravan/reference_ops.hpp"
#include "tests/run/mutated_device.hpp"
#include "tests/run/tiny_model.hpp"
#include "tests/run/trainer_fixture.hpp"
#include "tests/support/message_of.hpp"

// Layers of experts behind dispatchers whose received rows are in no way the sent ones
// (tests/run/dispatchers): a layer that takes one for the other computes something else.
namespace caravan::testing {
namespace {

constexpr std::int64_t kSequences = 3, kLength = 7;
constexpr double kTolerance = 1e-6;

struct Case {
  std::string device, dispatch;
  tiny::Variant variant;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const std::string& device : devices()) {
    for (const char* dispatch : {"shuffled", "weighed"}) {
      for (const tiny::Variant& variant : tiny::variants()) all.push_back({device, dispatch, variant});
    }
  }
  return all;
}

Config config_of(const tiny::Variant& variant, const std::string& dispatch) {
  Config config = tiny::config(variant.assignments);
  config.set("dispatch", dispatch);
  return config;
}

void expect_near(const std::vector<float>& a, const std::vector<float>& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  float largest = 1;
  for (float value : b) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < a.size(); ++i)
    ASSERT_NEAR(a[i], b[i], kTolerance * largest) << what << "[" << i << "]";
}

class Dispatch : public ::testing::TestWithParam<Case> {
 protected:
  /// A model that trains; both of a comparison start alike.
  struct Trained {
    TestModel model;
    TestTrainer trainer;

    Trained(const Config& config, RecomputePlan recompute = {})
        : model(config, {.device = GetParam().device, .slots = 2}),
          trainer(filled(model), {.shape = {1, kLength, Phase::train},
                                  .microbatches = kSequences,
                                  .recompute = std::move(recompute)}) {}
    StepResult step(std::int64_t number) {
      TestBatch batch = random_batch(kSequences, kLength, tiny::kVocabulary, 50 + number);
      batch.first_sample = (number - 1) * kSequences;
      return trainer.run(
          split_sequences(batch),
          {.step = number, .lr = 1e-3, .max_norm = 1, .seed = 8, .global_sequences = kSequences});
    }

   private:
    static TestModel& filled(TestModel& model) {
      tiny::fill(model, 37);
      return model;
    }
  };

  static void expect_same_training(Trained& moved, Trained& in_place) {
    for (std::int64_t number = 1; number <= 3; ++number) {
      const StepResult a = moved.step(number), b = in_place.step(number);
      EXPECT_NEAR(a.loss, b.loss, kTolerance * b.loss) << "step " << number;
      EXPECT_NEAR(a.balance_loss, b.balance_loss, kTolerance) << "step " << number;
      EXPECT_NEAR(a.grad_norm, b.grad_norm, kTolerance * b.grad_norm) << "step " << number;
      EXPECT_EQ(moved.trainer.expert_counts(), in_place.trainer.expert_counts());
      if (number == 1) expect_near(moved.model.gradients(), in_place.model.gradients(), "gradient");
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Variants, Dispatch, ::testing::ValuesIn(cases()), [](const auto& test) {
  return test.param.device + "_" + test.param.dispatch + "_" + test.param.variant.name;
});

TEST_P(Dispatch, of_rows_in_another_order_trains_as_rows_in_place_do) {
  Trained moved(config_of(GetParam().variant, GetParam().dispatch)),
      in_place(config_of(GetParam().variant, "local"));
  expect_same_training(moved, in_place);
}

/// The places of the first forward serve the repeated one, whose dispatcher does not make them again.
TEST_P(Dispatch, of_rows_that_are_sent_again_trains_as_rows_in_place_do) {
  const Config config = config_of(GetParam().variant, GetParam().dispatch);
  RecomputePlan all(TestModel(config).stage().layers().size());
  for (std::size_t layer = 1; layer + 1 < all.size(); ++layer) all[layer] = {true, true, {}};
  Trained moved(config, all), in_place(config_of(GetParam().variant, "local"));
  expect_same_training(moved, in_place);
}

TEST_P(Dispatch, evaluates_as_rows_in_place_do) {
  TestModel moved(config_of(GetParam().variant, GetParam().dispatch), {.device = GetParam().device}),
      in_place(config_of(GetParam().variant, "local"), {.device = GetParam().device});
  tiny::fill(moved, 37);
  tiny::fill(in_place, 37);
  const TestBatch batch = random_batch(2, kLength, tiny::kVocabulary, 6);
  expect_near(evaluate(moved, batch).logits, evaluate(in_place, batch).logits, "logit");
}

class Experts : public ::testing::TestWithParam<std::string> {
 protected:
  static constexpr std::int64_t kFirst = 2;  // of four experts the dispatcher "half" holds the last two

  Experts() : half_(with("half"), {.device = GetParam()}), all_(with("local"), {.device = GetParam()}) {
    tiny::fill(half_, 5);
    tiny::fill(all_, 5);
    for (const std::string& name : all_.names()) {
      if (name.ends_with(".experts.w2")) silence(all_.weight(name));
    }
  }
  static Config with(const std::string& dispatch) {
    return config_of({"", {"top_k=2", "normalise=true"}}, dispatch);
  }
  /// Experts whose results are zero give what experts give that rows do not come to.
  static void silence(const TensorView& experts) {
    for (std::int64_t i = 0; i < experts.rows(0, kFirst).count(); ++i) element(experts, i) = 0;
  }

  TestModel half_, all_;
};
INSTANTIATE_TEST_SUITE_P(Devices, Experts, ::testing::ValuesIn(devices()),
                         [](const auto& test) { return test.param; });

TEST_P(Experts, that_rows_do_not_come_to_have_no_part_and_no_gradient) {
  const TestBatch batch = random_batch(2, kLength, tiny::kVocabulary, 9);
  EXPECT_NEAR(differentiate(half_, batch), differentiate(all_, batch), kTolerance);
  for (const std::string& name : half_.names()) {
    const TensorView grad = half_.grad(name);
    if (name.ends_with(".experts.w2")) {
      for (float value : values(grad.rows(0, kFirst))) ASSERT_EQ(value, 0) << name;
      expect_near(values(grad.rows(kFirst, 4)), values(all_.grad(name).rows(kFirst, 4)), name);
    } else {
      expect_near(values(grad), values(all_.grad(name)), name);
    }
  }
}

TEST_P(Experts, without_room_for_their_rows_stop_the_step_and_change_nothing) {
  TestModel model(with("cramped"), {.device = GetParam(), .slots = 2});
  tiny::fill(model, 5);
  TestTrainer trainer(model, {.shape = {2, kLength, Phase::train}});
  const std::vector<float> before = values(model.weight("output.weight"));
  const std::vector<TestBatch> batch{random_batch(2, kLength, tiny::kVocabulary, 9)};
  const std::string message = message_of<NumericalError>(
      [&] { trainer.run(batch, {.step = 3, .lr = 1, .max_norm = 1, .global_sequences = 2}); });
  EXPECT_TRUE(message.starts_with("step 3: ")) << message;
  EXPECT_NE(message.find(" rows had no room at their experts"), std::string::npos) << message;
  EXPECT_EQ(values(model.weight("output.weight")), before);
}

/// Products under the offsets of the rows that were sent, as a layer would ask for that takes them for those
/// received.
class SentForReceived final : public ReferenceOps {
 public:
  void route_forward(const RouteForward& args) override {
    sent_ = args.offsets;
    ReferenceOps::route_forward(args);
  }
  void gate_up_forward(const GateUpForward& args) override {
    GateUpForward confused = args;
    if (!confused.offsets.empty()) confused.offsets = sent_;
    ReferenceOps::gate_up_forward(confused);
  }
  void grouped_linear_forward(const GroupedLinearForward& args) override {
    GroupedLinearForward confused = args;
    confused.offsets = sent_;
    ReferenceOps::grouped_linear_forward(confused);
  }

 private:
  TensorView sent_;
};

/// A test of these tests: the mistake goes unseen where rows stay in order, and is seen where they do not.
TEST(SentAndReceivedRows, AreToldApartByTheDispatcherThatPermutes) {
  DeviceWith<SentForReceived> confused;
  const TestBatch batch = random_batch(2, kLength, tiny::kVocabulary, 9);
  const auto loss_of = [&](const char* dispatch, Device* on) {
    Config config = tiny::config({});
    config.set("dispatch", dispatch);
    TestModel model(config, on ? ModelSetup{.on = on} : ModelSetup{.device = "reference"});
    tiny::fill(model, 37);
    return evaluate(model, batch).loss;
  };
  const double right = loss_of("local", nullptr);
  EXPECT_NEAR(loss_of("shuffled", nullptr), right, kTolerance * right);
  EXPECT_EQ(loss_of("local", &confused), right);
  EXPECT_FALSE(std::abs(loss_of("shuffled", &confused) - right) < 1e-3);  // perhaps not a number
}

}  // namespace
}  // namespace caravan::testing
