#include <gtest/gtest.h>

#include <cmath>

#include "parallel/bucketed_reducer.hpp"
#include "parallel/process_mesh.hpp"
#include "parallel/world.hpp"
#include "tests/run/tiny_model.hpp"
#include "tests/run/trainer_fixture.hpp"

// Ranks that share the sequences of a step, and each of which computes with its share of the experts: the
// dispatcher "exchanged" brings it the rows of all ranks. Every rank still holds all weights, and the sum
// over the ranks completes the gradients.
namespace caravan::testing {
namespace {

constexpr std::int64_t kSequences = 4, kLength = 7;
constexpr double kTolerance = 1e-5;  // of layouts: ranks add in another order

struct Layout {
  std::string device;
  tiny::Variant variant;
};

std::vector<Layout> layouts() {
  std::vector<Layout> all;
  for (const std::string& device : devices()) {
    for (const tiny::Variant& variant : tiny::variants()) all.push_back({device, variant});
  }
  return all;
}

class SpreadExperts : public ::testing::TestWithParam<Layout> {
 protected:
  static TrainStep::Settings settings(std::int64_t step) {
    return {.step = step, .lr = 0.003, .max_norm = 1, .seed = 77, .global_sequences = kSequences};
  }
  static Config config(const std::string& dispatch) {
    Config config = tiny::config(GetParam().variant.assignments);
    config.set("dispatch", dispatch);
    return config;
  }

  std::unique_ptr<Communicator> world_ = parallel::make_world_communicator();
  Made<Device> device_ = make_device(GetParam().device);
  std::unique_ptr<Mesh> mesh_ = parallel::make_process_mesh(
      *world_, MeshLayout({.dp_shard = world_->size(), .ep = world_->size()}, world_->size()), *device_);
  parallel::BucketedReducer reducer_{*world_, 4096};
};

INSTANTIATE_TEST_SUITE_P(Variants, SpreadExperts, ::testing::ValuesIn(layouts()),
                         [](const auto& test) { return test.param.device + "_" + test.param.variant.name; });

TEST_P(SpreadExperts, train_as_all_experts_on_one_rank_do) {
  TestModel spread(config("exchanged"), {.on = device_.get(), .slots = 2, .mesh = mesh_.get()}),
      whole(config("local"), {.device = GetParam().device, .slots = 2});
  tiny::fill(spread, 31);
  tiny::fill(whole, 31);
  TestTrainer together(spread, {{1, kLength, Phase::train},
                                static_cast<int>(kSequences) / world_->size(),
                                world_.get(),
                                world_->size() > 1 ? &reducer_ : nullptr}),
      by_itself(whole, {{1, kLength, Phase::train}, static_cast<int>(kSequences), nullptr, nullptr});
  for (std::int64_t step = 1; step <= 5; ++step) {
    const std::vector<TestBatch> all = step_sequences(step, kSequences, kLength);
    const StepResult a = together.run(share_of(all, *world_), settings(step)),
                     b = by_itself.run(all, settings(step));
    EXPECT_NEAR(a.loss, b.loss, kTolerance * b.loss) << "step " << step;
    EXPECT_NEAR(a.grad_norm, b.grad_norm, kTolerance * b.grad_norm) << "step " << step;
    EXPECT_EQ(together.expert_counts(), by_itself.expert_counts()) << "step " << step;
    if (step > 1) continue;
    const std::vector<float> gradients = spread.gradients(), expected = whole.gradients();
    for (std::size_t i = 0; i < expected.size(); ++i)
      ASSERT_NEAR(gradients[i], expected[i], kTolerance * std::max(1.0f, std::abs(expected[i]))) << i;
  }
}

}  // namespace
}  // namespace caravan::testing
