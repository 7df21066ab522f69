#include <gtest/gtest.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <map>

#include "parallel/world.hpp"
#include "tests/jobs/layout_case.hpp"
#include "tests/jobs/steps_taken.hpp"
#include "tests/support/plugin_dir.hpp"
#include "tests/support/test_device.hpp"

// Experts over ranks take the steps of one rank: every layout with models, recomputations and routings in
// turn, or with CARAVAN_EXPERT_CASES=N with N of them. Runs on 2, 4 and 8 ranks, in tests/long.sh on 16 too.
namespace caravan::jobs {
namespace {

constexpr double kTolerance = 1e-5;
constexpr int kSteps = 10;
constexpr int kExperts = 8;

/// Of a step: enough for four micro-batches on each data rank of two stages.
std::int64_t sequences() {
  static const int kRanks = parallel::make_world_communicator()->size();
  return std::max(16, 2 * kRanks);
}

/// The ranks of one data replica of one stage are `expert` x `shards`.
struct Layout {
  int expert = 1, shards = 1, pipeline = 1;
  std::string schedule = "1f1b";
  Keys keys{};
};

/// Where tokens go: as the router says; all to expert 0; nobody to the last.
enum class Skew { none, one_expert, unchosen_expert };

/// A choice of one value of every factor.
struct Model {
  Keys keys;
  Skew skew = Skew::none;
  std::string recompute = "none";
};

/// The gradient of the larger table is summed by rows.
const std::vector<std::vector<Keys>>& factors() {
  static const std::vector<std::vector<Keys>> kAll{
      {{"model.top_k=1"}, {"model.top_k=2"}},
      {{"model.score_on=input"}, {"model.score_on=output"}},
      {{"model.shared_experts=1"}, {"model.shared_experts=0"}},
      {{}, {"model.groups=4", "model.limited_groups=2"}},
      {{}, {"model.capacity_factor=0.7"}},
      {{"model.load_balance_rate=0"}, {"model.load_balance_rate=0.01", "model.balance_loss=0.01"}},
      {{"model.vocab_size=61"}, {"model.vocab_size=389"}}};
  return kAll;
}

std::vector<Model> all_models() {
  std::vector<Model> with_ways;
  for (const ModelCase& model : jobs::all_models(factors())) {
    for (const Skew skew : {Skew::none, Skew::one_expert, Skew::unchosen_expert}) {
      for (const char* recompute : {"none", "full", "selective", "stage"})
        with_ways.push_back({model.keys, skew, recompute});
    }
  }
  return with_ways;
}

Job job_of(const Layout& layout, const Model& model, int ranks) {
  Config tree = Config::parse(R"(
seed: 5
model: {plugin: llama4, vocab_size: 61, dim: 28, layers: 4, heads: 2, kv_heads: 1, width_multiple_of: 12, noisy: true,
        dropout: 0.1, init_std: 0.3}
data: {source: synthetic, vocab_size: 61}
train: {steps: 100, sequence_length: 9, lr: 3e-3, warmup_steps: 3}
checkpoint: {enabled: false}
)");
  Keys keys{fmt::format("train.global_batch_size={}", sequences()), fmt::format("model.experts={}", kExperts),
            "train.recompute=" + model.recompute, fmt::format("parallel.pipeline={}", layout.pipeline),
            "parallel.schedule=" + layout.schedule};
  const int shards = layout.expert * layout.shards;
  if (shards > 1)
    keys.insert(keys.end(), {fmt::format("parallel.data_shard={}", shards),
                             fmt::format("parallel.expert={}", layout.expert)});
  if (layout.pipeline > 1)
    keys.push_back(fmt::format("parallel.microbatches={}", sequences() / (ranks / layout.pipeline)));
  keys.insert(keys.end(), layout.keys.begin(), layout.keys.end());
  keys.insert(keys.end(), model.keys.begin(), model.keys.end());
  for (const std::string& key : test::keys_of_test_device()) tree.override_with(key);
  for (const std::string& key : keys) tree.override_with(key);
  return resolve_job(std::move(tree));
}

/// Biases that decide whatever the scores are, which lie between 0 and 1.
void skew_routing(ParameterStore& store, Skew skew) {
  for (const auto& buffer : store.buffers()) {
    if (!buffer->name.ends_with("expert_bias") || skew == Skew::none) continue;
    store.set(buffer->data, [&](const TensorView& values) {
      float* bias = values.as<float>();
      std::fill_n(bias, values.count(), 0.0f);
      (skew == Skew::one_expert ? bias[0] : bias[values.count() - 1]) = skew == Skew::one_expert ? 9 : -9;
    });
  }
}

class Experts : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const std::string path = test::plugin_dir() + ":" + CARAVAN_TEST_DISPATCHERS;
    setenv("CARAVAN_PLUGIN_PATH", path.c_str(), 1);
  }
  void SetUp() override {
    static const std::string kAbsent = test::prepare_test_device(*make_registry(), *world_);
    if (!kAbsent.empty()) GTEST_SKIP() << kAbsent;
  }

  int ranks() const { return world_->size(); }
  /// Experts over as many ranks as there are experts.
  Layout widest(Keys keys = {}) const {
    const int expert = std::min(ranks(), kExperts);
    return {expert, ranks() / expert, 1, "1f1b", std::move(keys)};
  }

  static StepsTaken taken(const Job& job, Communicator& world, Skew skew) {
    return take_steps(job, world, kSteps, [&](ParameterStore& store, Device&) { skew_routing(store, skew); });
  }
  /// Of one rank, computed once for each model and routing.
  static const StepsTaken& alone(Model model) {
    static std::map<std::string, StepsTaken> known;
    model.recompute = "none";
    StepsTaken& steps = known[fmt::format("{} {}", fmt::join(model.keys, " "), static_cast<int>(model.skew))];
    if (steps.results.empty()) {
      const auto self = make_single_communicator();
      steps = taken(job_of({}, model, 1), *self, model.skew);
    }
    return steps;
  }

  /// The batches of many ranks have many tokens: there such a choice is followed as far as it goes. On up to
  /// 8 ranks no choice may.
  std::size_t steps_before_a_flip(const StepsTaken& ours, const StepsTaken& expected) const {
    return ranks() <= kExperts ? kSteps : jobs::steps_before_a_flip(ours, expected, *world_);
  }

  void expect_equal(const Layout& layout, const Model& model) {
    SCOPED_TRACE(fmt::format("expert {} x {} shards, {} stages, {} {}; {} recompute {} skew {}",
                             layout.expert, layout.shards, layout.pipeline, layout.schedule,
                             fmt::join(layout.keys, " "), fmt::join(model.keys, " "), model.recompute,
                             static_cast<int>(model.skew)));
    const StepsTaken& expected = alone(model);
    const StepsTaken ours = taken(job_of(layout, model, ranks()), *world_, model.skew);
    const std::size_t alike = steps_before_a_flip(ours, expected);
    const auto first = [&](const std::vector<StepResult>& all) {
      return std::vector<StepResult>(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(alike));
    };
    EXPECT_LE(largest_difference(first(ours.results), first(expected.results)), kTolerance);
    EXPECT_LE(largest_difference(ours.gradients, expected.gradients), kTolerance);
    if (alike < kSteps) return;
    for (std::size_t step = 0; step < kSteps; ++step)
      EXPECT_EQ(ours.results[step].dropped, expected.results[step].dropped) << "step " << step + 1;
    if (layout.pipeline == 1) {
      EXPECT_EQ(ours.expert_counts, expected.expert_counts);
    }
    for (const auto& [name, values] : ours.buffers) {
      ASSERT_TRUE(expected.buffers.contains(name)) << name;
      EXPECT_EQ(values, expected.buffers.at(name)) << name;
    }
    ++compared_;
  }
  /// Models in turn, each value of a factor with every value of the others; of so many, or as many as asked
  /// for.
  void expect_equal(const std::vector<Layout>& layouts, int models) {
    static const std::vector<Model> kAll = all_models();
    constexpr std::size_t kStride = 149;  // shares no factor with their number
    const char* wanted = std::getenv("CARAVAN_EXPERT_CASES");
    const int everyday =
        ranks() < 8 ? models : (models + 2) / 3;  // they take turns on few cores; all in long.sh
    const int count = wanted ? std::atoi(wanted) : everyday;
    ASSERT_GT(count, 0);
    std::size_t turn = 0;
    for (const Layout& layout : layouts) {
      for (int i = 0; i < count; ++i) expect_equal(layout, kAll[turn++ * kStride % kAll.size()]);
    }
  }

  std::unique_ptr<Communicator> world_ = parallel::make_world_communicator();
  int compared_ = 0;
};

TEST_F(Experts, over_ranks_and_shards_take_the_steps_of_one_rank) {
  std::vector<Layout> layouts;
  for (int expert = 2; expert <= std::min(ranks(), kExperts); expert *= 2) {
    layouts.push_back({expert, ranks() / expert});
    if (expert < ranks()) layouts.push_back({expert, 1});  // replicas
    layouts.push_back({expert, ranks() / expert, 1, "1f1b", {"parallel.reshard=never"}});
  }
  expect_equal(layouts, 8);
}

TEST_F(Experts, of_pipelines_do_too) {
  if (ranks() < 4) GTEST_SKIP() << "needs 2 stages x 2 experts' ranks";
  std::vector<Layout> layouts;
  for (const char* schedule : {"1f1b", "zbv", "dualpipev"}) {
    for (int expert = 2; expert <= std::min(ranks() / 2, kExperts); expert *= 2)
      layouts.push_back({expert, ranks() / 2 / expert, 2, schedule});
  }
  expect_equal(layouts, 6);
}

/// Capacity counts sequences, wherever they are.
TEST_F(Experts, whole_on_every_rank_do_too) {
  std::vector<Layout> layouts{{1, ranks()}};
  if (ranks() > 2) layouts.push_back({1, ranks() / 2, 2, "zbv"});
  expect_equal(layouts, 4);
}

TEST_F(Experts, whose_dispatcher_is_another_do_too) {
  std::vector<const char*> dispatchers{"model.dispatch={name: all_to_all, room: 8}",
                                       "model.dispatch={name: deepep, room: 8}"};
  if (test::test_device() == "host")
    dispatchers.push_back("model.dispatch=exchanged");  // it is for host memory
  for (const char* dispatch : dispatchers) expect_equal({widest({dispatch})}, 6);
}

/// Rows that are written straight to other ranks, two exchanges at a time under `dualpipev`.
TEST_F(Experts, whose_rows_are_written_to_the_memory_of_others_do_too) {
  std::vector<Layout> layouts{widest({"model.dispatch=deepep"})};
  for (const char* schedule : {"zbv", "dualpipev"}) {
    const int expert = std::min(ranks() / 2, kExperts);
    if (expert > 1) layouts.push_back({expert, ranks() / 2 / expert, 2, schedule, {"model.dispatch=deepep"}});
  }
  expect_equal(layouts, 8);
}

/// The rows of an expert lie in one order whoever brings them, so nothing differs.
TEST_F(Experts, are_the_same_to_the_bit_whichever_dispatcher_brings_their_rows) {
  const Model model{{"model.top_k=2", "model.score_on=output", "model.capacity_factor=0.7"}};
  const StepsTaken sent = taken(job_of(widest({"model.dispatch=all_to_all"}), model, ranks()), *world_,
                                Skew::none),
                   written =
                       taken(job_of(widest({"model.dispatch=deepep"}), model, ranks()), *world_, Skew::none);
  EXPECT_EQ(largest_difference(written.results, sent.results), 0);
  for (std::size_t part = 0; part < sent.gradients.size(); ++part)
    EXPECT_EQ(written.gradients[part].values, sent.gradients[part].values) << sent.gradients[part].name;
}

TEST_F(Experts, with_room_for_every_choice_do_what_they_do_without_a_limit) {
  Model all{{"model.top_k=2"}}, roomy = all, few = all;
  roomy.keys.emplace_back("model.capacity_factor=8");
  few.keys.emplace_back("model.capacity_factor=0.7");
  const Layout layout = widest();
  const StepsTaken without = taken(job_of(layout, all, ranks()), *world_, Skew::none),
                   with = taken(job_of(layout, roomy, ranks()), *world_, Skew::none),
                   dropping = taken(job_of(layout, few, ranks()), *world_, Skew::none);
  EXPECT_EQ(largest_difference(with.results, without.results), 0);
  for (std::size_t part = 0; part < without.gradients.size(); ++part)
    EXPECT_EQ(with.gradients[part].values, without.gradients[part].values) << without.gradients[part].name;
  EXPECT_EQ(with.results.front().dropped, 0);
  EXPECT_GT(dropping.results.front().dropped, 0);
  EXPECT_GT(largest_difference(dropping.results, without.results), kTolerance);
}

/// With every token at one expert the formula can be read off what is dropped: all but the first C of 9.
TEST_F(Experts, take_as_many_choices_as_the_formula_says) {
  const std::pair<const char*, std::int64_t> taken_with[] = {
      {"0.7", 1}, {"1.2", 2}, {"1.7", 3}, {"2.6", 5}, {"9", 9}};
  constexpr std::int64_t kLayers = 4, kLength = 9;
  for (const auto& [factor, taken_choices] : taken_with) {
    const Model model{
        {"model.top_k=1", "model.load_balance_rate=0.01", std::string("model.capacity_factor=") + factor}};
    const StepsTaken steps = taken(job_of(widest(), model, ranks()), *world_, Skew::one_expert);
    EXPECT_EQ(steps.results.front().dropped, sequences() * kLayers * (kLength - taken_choices)) << factor;
    EXPECT_EQ(steps.results.front().chosen, sequences() * kLayers * kLength) << factor;
  }
}

TEST_F(Experts, of_the_reference_device_do_too) {
  if (test::test_device() != "host") GTEST_SKIP() << "a comparison of devices in host memory";
  expect_equal({widest({"device=reference"})}, 4);
}

}  // namespace
}  // namespace caravan::jobs
