#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "core/run/host_values.hpp"
#include "jobs/setup/machine.hpp"
#include "parallel/world.hpp"
#include "tests/jobs/layout_case.hpp"
#include "tests/jobs/steps_taken.hpp"
#include "tests/support/plugin_dir.hpp"
#include "tests/support/test_device.hpp"

// Optimizers and their groups take the steps of one rank on every layout. Runs on 2 and 4 ranks.
namespace caravan::jobs {
namespace {

constexpr double kTolerance = 1e-5;
constexpr int kSteps = 8, kSequences = 8;

const Keys kFrozen{
    "optimizer={groups: [{parameters: ['*norm.weight', tok_embeddings.weight], frozen: true}, "
    "{parameters: layers.1.*, frozen: true}, {parameters: ['layers.3.*', output.weight], lr_factor: 0.5, "
    "weight_decay: 0}]}"};
const Keys kFrozenTable{"optimizer={groups: [{parameters: tok_embeddings.weight, frozen: true}]}",
                        "model.tied_head=true"};
const Keys kMuon{"optimizer={name: muon}"};
const Keys kMuonFrozen{
    "optimizer={name: muon, router: muon, adjust_lr: original, groups: [{parameters: layers.1.*, frozen: "
    "true}]}"};

class OptimizersOnRanks : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { setenv("CARAVAN_PLUGIN_PATH", test::plugin_dir().c_str(), 1); }
  void SetUp() override {
    static const std::string kAbsent = test::prepare_test_device(*make_registry(), *world_);
    if (!kAbsent.empty()) GTEST_SKIP() << kAbsent;
  }
  int ranks() const { return world_->size(); }

  static ModelCase model_of(const Keys& optimizer) {
    Keys keys{"model.experts=8", "model.top_k=2", "model.moe_step=2", "train.sequence_length=24"};
    keys.insert(keys.end(), optimizer.begin(), optimizer.end());
    return {keys};
  }

  void expect_steps_of_one_rank(const Keys& optimizer, const std::vector<LayoutCase>& layouts) {
    const ModelCase model = model_of(optimizer);
    const StepsTaken alone =
        take_steps(job_of({}, model, 1, kSequences), *make_single_communicator(), kSteps);
    for (const LayoutCase& layout : layouts) {
      if (ranks() % layout.ranks() != 0) continue;
      SCOPED_TRACE(layout.text() + "; " + model.text());
      const StepsTaken ours = take_steps(job_of(layout, model, ranks(), kSequences), *world_, kSteps);
      EXPECT_LE(largest_difference(ours.results, alone.results), kTolerance);
    }
  }

  /// Replicas, shards, both, stages, experts, slices, parts of sequences, and their products.
  static std::vector<LayoutCase> layouts() {
    return {{},
            {.keys = {"parallel.divide_optimizer=false"}},
            {.shards = 2},
            {.pipeline = 2},
            {.tensor = 2},
            {.context = 2},
            {.shards = 2, .expert = 2},
            {.tensor = 2, .expert = 2},
            {.shards = 4, .keys = {"parallel.reshard=never"}},
            {.tensor = 4},
            {.shards = 2, .pipeline = 2},
            {.tensor = 2, .shards = 2},
            {.tensor = 2, .shards = 2, .expert = 2, .keys = {"parallel.expert_tensor=tensor"}}};
  }

  std::unique_ptr<Communicator> world_ = parallel::make_world_communicator();
};

TEST_F(OptimizersOnRanks, muon_takes_the_steps_of_one_rank) {
  expect_steps_of_one_rank(kMuon, layouts());
}

TEST_F(OptimizersOnRanks, frozen_parameters_and_factors_give_the_steps_of_one_rank) {
  expect_steps_of_one_rank(kFrozen, layouts());
}

TEST_F(OptimizersOnRanks, muon_with_frozen_layers_and_routers_does_too) {
  expect_steps_of_one_rank(kMuonFrozen, {{}, {.shards = 2}, {.tensor = 2}, {.pipeline = 2}});
}

TEST_F(OptimizersOnRanks, a_frozen_table_that_is_the_head_does_too) {
  expect_steps_of_one_rank(kFrozenTable, {{}, {.shards = 2}, {.tensor = 2}, {.pipeline = 2}});
}

TEST_F(OptimizersOnRanks, elementwise_rules_do_too) {
  for (const char* optimizer :
       {"optimizer={name: adam, weight_decay: 0.1}", "optimizer={name: sgd, momentum: 0.9, nesterov: true}"})
    expect_steps_of_one_rank({optimizer}, {{}, {.shards = 2}, {.tensor = 2}, {.pipeline = 2}});
}

std::vector<float> copied(Device& device, const TensorView& values) {
  std::vector<float> room;
  const TensorView here = on_host(device, values, room);
  return {here.as<float>(), here.as<float>() + here.count()};
}

TEST_F(OptimizersOnRanks, what_is_frozen_stays_and_has_no_memory_but_its_weights) {
  for (const LayoutCase& layout : {LayoutCase{}, LayoutCase{.shards = 2}, LayoutCase{.tensor = 2}}) {
    SCOPED_TRACE(layout.text());
    const Job job = job_of(layout, model_of(kFrozen), ranks(), kSequences);
    TrainSetup setup(job, *world_);
    const auto data = setup.open_data({});
    TrainingSteps training(setup, *data);
    ParameterStore& store = setup.model().parameters();
    store.initialise(job.seed);
    std::vector<std::vector<float>> before;
    for (const Fragment& fragment : store.fragments())
      before.push_back(copied(setup.device(), fragment.weight));
    for (std::int64_t number = 1; number <= 2; ++number) {
      training.post(training.read((number - 1) * setup.share().global_batch), number);
      training.step().result();
    }
    int frozen = 0;
    for (std::size_t index = 0; index < before.size(); ++index) {
      const Fragment& fragment = store.fragments()[index];
      const bool stays = copied(setup.device(), fragment.weight) == before[index];
      const bool is_trained = fragment.parameter->is_trained();
      if (fragment.count() > 0) {
        EXPECT_EQ(stays, !is_trained) << fragment.parameter->spec().name;
      }
      if (is_trained) continue;
      ++frozen;
      EXPECT_TRUE(fragment.grad.empty() && fragment.parameter->grad.empty());
      for (const TensorView& slot : fragment.slots) EXPECT_TRUE(slot.empty());
    }
    EXPECT_GT(frozen, 5);
  }
}

}  // namespace
}  // namespace caravan::jobs
