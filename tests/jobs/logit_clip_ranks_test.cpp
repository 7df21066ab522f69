#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include "caravan/bf16.hpp"
#include "core/run/host_values.hpp"
#include "jobs/plan/clipped_layers.hpp"
#include "jobs/setup/machine.hpp"
#include "parallel/world.hpp"
#include "tests/jobs/first_layer.hpp"
#include "tests/jobs/layout_case.hpp"
#include "tests/jobs/steps_taken.hpp"
#include "tests/support/message_of.hpp"
#include "tests/support/plugin_dir.hpp"
#include "tests/support/test_device.hpp"

// Muon's clip of attention logits against plain loops, and on layouts against one rank. Runs on 1, 2 and 4
// ranks.
namespace caravan::jobs {
namespace {

constexpr double kTolerance = 1e-5;
constexpr int kSequences = 4;

/// Steps on one rank, with everything in sight.
class Steps {
 public:
  explicit Steps(const Keys& keys)
      : setup_(job(keys), *alone_), data_(setup_.open_data({})), steps_(setup_, *data_) {
    store().initialise(5);
  }

  /// Step `number` on the batch of the first.
  StepResult take(std::int64_t number) {
    const auto batches = steps_.read(0);
    tokens_.clear();
    for (const MicroBatch& batch : batches)
      tokens_.insert(tokens_.end(), batch.tokens.begin(), batch.tokens.end());
    steps_.post(batches, number);
    return steps_.step().result();
  }
  Rows master(const std::string& name) {
    for (const Fragment& fragment : store().fragments())
      if (fragment.parameter->spec().name == name) return copied(fragment.master);
    ADD_FAILURE() << name;
    return {};
  }
  std::map<std::string, Rows> masters() {
    std::map<std::string, Rows> all;
    for (const Fragment& fragment : store().fragments())
      all[fragment.parameter->spec().name] = copied(fragment.master);
    return all;
  }
  const std::vector<std::int32_t>& tokens() const { return tokens_; }
  Rows copied(const TensorView& values) {
    std::vector<float> room;
    const TensorView here = on_host(setup_.device(), values, room);
    return {here.as<float>(), here.as<float>() + here.count()};
  }
  TrainSetup& setup() { return setup_; }
  ParameterStore& store() { return setup_.model().parameters(); }

 private:
  static Job job(const Keys& keys) {
    Keys all{fmt::format("train.sequence_length={}", kLength), "train.warmup_steps=0"};
    all.insert(all.end(), keys.begin(), keys.end());
    return job_of({}, {all}, 1, kSequences);
  }

  std::unique_ptr<Communicator> alone_ = make_single_communicator();
  TrainSetup setup_;
  Made<DataSource> data_;
  TrainingSteps steps_;
  std::vector<std::int32_t> tokens_;
};

const Keys kOneLayer{"model.layers=1"};
const Keys kWithoutPositions{"model.layers=1", "model.nope_layers=[0]",
                             "model.temperature={scale: 0.5, floor: 4}"};

Keys with(Keys keys, const Keys& more) {
  keys.insert(keys.end(), more.begin(), more.end());
  return keys;
}

Keys clipped_at(double limit) {
  return {fmt::format("optimizer={{name: muon, qk_clip: {}}}", limit)};
}

/// Half of the heads are above.
double middle_of(std::vector<double> largest) {
  std::sort(largest.begin(), largest.end());
  return (largest[3] + largest[4]) / 2;
}

class LogitClipOnRanks : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { setenv("CARAVAN_PLUGIN_PATH", test::plugin_dir().c_str(), 1); }
  void SetUp() override {
    static const std::string kAbsent = test::prepare_test_device(*make_registry(), *world_);
    if (!kAbsent.empty()) GTEST_SKIP() << kAbsent;
  }
  /// What needs no others is tried once.
  bool is_alone() const { return world_->size() == 1; }

  std::unique_ptr<Communicator> world_ = parallel::make_world_communicator();
};

void expect_the_loops_step(const Keys& model, FirstLayer::Kind kind) {
  Steps plain(with(model, {"optimizer={name: muon}"})), probe(model);
  const auto before = probe.masters();
  plain.take(1);
  const std::vector<double> largest = FirstLayer(before, plain.tokens(), kind).largest();
  const double limit = middle_of(largest);

  Steps ours(with(model, clipped_at(limit)));
  EXPECT_NEAR(*ours.take(1).max_logit, *std::max_element(largest.begin(), largest.end()), 1e-5);

  const Rows expected = clipped(plain.master("layers.0.attention.wqkv"), largest, limit),
             rows = ours.master("layers.0.attention.wqkv");
  ASSERT_EQ(rows.size(), expected.size());
  for (std::size_t at = 0; at < rows.size(); ++at) EXPECT_NEAR(rows[at], expected[at], 2e-6) << at;
  auto others = ours.masters(), those = plain.masters();
  others.erase("layers.0.attention.wqkv"), those.erase("layers.0.attention.wqkv");
  EXPECT_EQ(others, those) << "nothing else changes";
}

TEST_F(LogitClipOnRanks, a_step_is_that_of_plain_loops) {
  if (!is_alone()) return;
  expect_the_loops_step(kOneLayer, FirstLayer::Kind::rotated);
}

TEST_F(LogitClipOnRanks, logits_are_those_behind_the_temperature) {
  if (!is_alone()) return;
  expect_the_loops_step(kWithoutPositions, FirstLayer::Kind::without_positions);
}

/// A learning rate that changes no bit leaves the clip alone.
TEST_F(LogitClipOnRanks, clipped_heads_come_to_the_limit_and_the_others_stay) {
  if (!is_alone()) return;
  Steps probe(kOneLayer);
  probe.take(1);
  const auto before = Steps(kOneLayer).masters();
  const std::vector<double> first = FirstLayer(before, probe.tokens(), FirstLayer::Kind::rotated).largest();
  const double limit = middle_of(first);

  Steps steps(with(with(kOneLayer, clipped_at(limit)), {"train.lr=1e-30"}));
  EXPECT_GT(*steps.take(1).max_logit, limit);
  const auto after = steps.masters();
  const std::vector<double> second = FirstLayer(after, steps.tokens(), FirstLayer::Kind::rotated).largest();
  for (std::size_t head = 0; head < first.size(); ++head)
    EXPECT_NEAR(second[head], std::min(first[head], limit), 1e-6) << head;
  EXPECT_NEAR(*steps.take(2).max_logit, limit, 1e-6);
}

TEST_F(LogitClipOnRanks, a_limit_that_nothing_reaches_changes_no_bit) {
  if (!is_alone()) return;
  Steps clipped(clipped_at(1e6)), plain({"optimizer={name: muon}"});
  for (std::int64_t number = 1; number <= 3; ++number) {
    const StepResult ours = clipped.take(number), theirs = plain.take(number);
    EXPECT_EQ(ours.loss, theirs.loss);
    EXPECT_TRUE(ours.max_logit.has_value());
    EXPECT_FALSE(theirs.max_logit.has_value());
  }
  EXPECT_EQ(clipped.masters(), plain.masters());
}

/// A layer that is applied twice is clipped by the larger of both.
TEST_F(LogitClipOnRanks, a_repeated_layer_has_one_limit) {
  if (!is_alone()) return;
  Steps once(with(kOneLayer, clipped_at(0.1))),
      twice(with(with(kOneLayer, clipped_at(0.1)), {"model.repeat_layers=[0]", "train.lr=1e-30"}));
  EXPECT_GE(*twice.take(1).max_logit, *once.take(1).max_logit);
  EXPECT_LE(*twice.take(2).max_logit, 0.2) << "its second input changed with the first one's output";
}

/// Blocks of Llama 4 are never cut, but other models may share what they like.
TEST_F(LogitClipOnRanks, weights_that_stages_share_are_refused) {
  if (!is_alone()) return;
  Steps steps(with(kOneLayer, clipped_at(0.1)));
  const std::string shared = "layers.0.attention.wqkv";
  EXPECT_NO_THROW(check_clip(steps.setup().optimizer(), steps.store(), {{"output.weight", {0, 1}}}));
  EXPECT_THAT(caravan::testing::message_of<ConfigError>([&] {
                check_clip(steps.setup().optimizer(), steps.store(), {{shared, {0, 1}}});
              }),
              ::testing::HasSubstr("optimizer.qk_clip=0.1 with '" + shared + "' in layers on several"));
}

/// A repeated forward sees the same logits, and weights of the type of computation follow their masters.
TEST_F(LogitClipOnRanks, recomputation_and_bf16_go_with_it) {
  if (!is_alone()) return;
  Steps plain(clipped_at(0.1)), repeated(with(clipped_at(0.1), {"train.recompute=full"}));
  for (std::int64_t number = 1; number <= 2; ++number)
    EXPECT_EQ(plain.take(number).max_logit, repeated.take(number).max_logit);
  EXPECT_EQ(plain.masters(), repeated.masters());

  Steps narrow(with(with(kOneLayer, clipped_at(0.1)),
                    {"device=reference", "device_options={}", "train.precision=bf16"}));
  EXPECT_GT(*narrow.take(1).max_logit, 0.1);
  for (const Fragment& fragment : narrow.store().fragments())
    for (std::int64_t at = 0; at < fragment.count(); ++at)
      ASSERT_EQ(static_cast<const std::uint16_t*>(fragment.weight.data)[at],
                to_bf16(fragment.master.as<float>()[at]))
          << fragment.parameter->spec().name << " " << at;
}

/// Of losses, norms and logits of eight steps; all heads are above the limit at first.
TEST_F(LogitClipOnRanks, layouts_take_the_steps_of_one_rank) {
  const ModelCase model{
      with(clipped_at(0.05), {"model.experts=8", "model.top_k=2", "model.moe_step=2", "model.chunk_size=7",
                              "model.nope_interval=2", "train.sequence_length=24"})};
  const StepsTaken alone = take_steps(job_of({}, model, 1, 2 * kSequences), *make_single_communicator(), 8);
  const std::vector<LayoutCase> layouts{{},
                                        {.keys = {"parallel.divide_optimizer=false"}},
                                        {.shards = 2},
                                        {.pipeline = 2},
                                        {.tensor = 2},
                                        {.context = 2},
                                        {.context = 2, .keys = {"parallel.rotate=gather"}},
                                        {.shards = 2, .expert = 2},
                                        {.tensor = 4},
                                        {.shards = 2, .pipeline = 2},
                                        {.tensor = 2, .shards = 2},
                                        {.tensor = 2, .context = 2}};
  for (const LayoutCase& layout : layouts) {
    if (world_->size() % layout.ranks() != 0) continue;
    SCOPED_TRACE(layout.text());
    const StepsTaken ours = take_steps(job_of(layout, model, world_->size(), 2 * kSequences), *world_, 8);
    EXPECT_LE(largest_difference(ours.results, alone.results), kTolerance);
    for (std::size_t step = 0; step < ours.results.size(); ++step)
      EXPECT_NEAR(*ours.results[step].max_logit, *alone.results[step].max_logit,
                  kTolerance * *alone.results[step].max_logit)
          << step;
    EXPECT_GT(*ours.results[0].max_logit, 0.2);
    EXPECT_LT(*ours.results[7].max_logit, 0.1) << "the clip holds them";
  }
}

}  // namespace
}  // namespace caravan::jobs
