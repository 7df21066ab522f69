#include "tests/run/trainer_fixture.hpp"

#include "tests/run/tiny_model.hpp"

namespace caravan::testing {
namespace {

Made<Optimizer> make_adamw(const Config& config) {
  Host host;
  host.registry = &registry();
  return registry().create<Optimizer>("adamw", host, config);
}

/// The plan of the only rank of a pipeline.
RankPlan plan_alone(int microbatches) {
  Host host;
  host.registry = &registry();
  const auto schedule = registry().create<Schedule>("1f1b", host, Config::map());
  return lower(schedule->build({1, microbatches, 1}), microbatches, 0, Recomputation::none);
}

}  // namespace

TestTrainer::TestTrainer(TestModel& model, const Setup& setup, const Config& optimizer)
    : alone_(make_single_communicator()),
      optimizer_(make_adamw(optimizer)),
      stash_(model.device(),
             StashLayout(model.stage().layers(), setup.shape, StashMode::fused, model.stage().width(),
                         {.recompute = setup.recompute}),
             1),
      step_({model.device(),
             plan_alone(setup.microbatches),
             {{model.stage(), stash_}},
             model.parameters(),
             *optimizer_,
             setup.data ? *setup.data : *alone_,
             setup.data ? *setup.data : *alone_,
             *alone_,
             *alone_,
             *alone_,
             setup.reducer}) {}

StepResult TestTrainer::run(std::span<const TestBatch> batches, const TrainStep::Settings& settings) {
  std::vector<MicroBatch> views;
  for (const TestBatch& batch : batches) views.push_back(batch.view());
  return step_.run(views, settings);
}

std::vector<TestBatch> step_sequences(std::int64_t step, std::int64_t sequences, std::int64_t length) {
  TestBatch batch =
      random_batch(sequences, length, tiny::kVocabulary, 100 + static_cast<std::uint64_t>(step));
  batch.first_sample = (step - 1) * sequences;
  for (std::size_t token : {7, 8, 9, 10, 11, 15}) batch.labels[token] = kIgnoredLabel;
  return split_sequences(batch);
}

std::vector<TestBatch> share_of(const std::vector<TestBatch>& all, const Communicator& ranks) {
  const auto mine = all.size() / static_cast<std::size_t>(ranks.size());
  const auto first = all.begin() + static_cast<std::ptrdiff_t>(mine) * ranks.rank();
  return {first, first + static_cast<std::ptrdiff_t>(mine)};
}

std::vector<std::vector<float>> buffers_ending(TestModel& model, const std::string& ending) {
  std::vector<std::vector<float>> found;
  for (const auto& buffer : model.parameters().buffers()) {
    if (buffer->name.ends_with(ending)) found.push_back(values(buffer->data));
  }
  return found;
}

}  // namespace caravan::testing
