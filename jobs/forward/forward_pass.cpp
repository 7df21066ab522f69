#include "jobs/forward/forward_pass.hpp"

#include <algorithm>

#include "caravan/ops.hpp"
#include "parallel/staged_communicator.hpp"

namespace caravan::jobs {
namespace {

/// One sequence at a time through one stash; results land in full-sized host buffers, zero elsewhere, and are
/// summed over the ranks at the end: every element comes from one rank.
class Pass {
 public:
  Pass(Device& device, ModelInstance& model, const Sequences& sequences, Gradients gradients)
      : device_(device),
        model_(model),
        sequences_(sequences),
        gradients_(gradients),
        stash_(device, layout(), 1),
        executor_(device, model.stage(), stash_),
        memory_(device, static_cast<std::size_t>(sequences.length * vocab()) * sizeof(float) + 64, "logits"),
        logits_(memory_.take(DType::f32, {sequences.length, vocab()})) {
    answers_.logits.resize(static_cast<std::size_t>(sequences.count * sequences.length * vocab()));
    valid_ = std::count_if(sequences.labels.begin(), sequences.labels.end(),
                           [](auto l) { return l != kIgnoredLabel; });
    find_routers();
  }

  void run(std::int64_t index) {
    const auto length = static_cast<std::size_t>(sequences_.length),
               at = static_cast<std::size_t>(index) * length;
    MicroBatch batch;
    batch.tokens = std::span(sequences_.tokens).subspan(at, length);
    batch.labels = std::span(sequences_.labels).subspan(at, length);
    batch.first_sample = index;
    batch.logits = logits_;
    std::vector<Step> row{{{0, ActionKind::forward, 0}, {}}};
    if (gradients_ == Gradients::of_mean_loss) row.push_back({{0, ActionKind::backward, 0}, {}});
    StepScales scales;
    scales.gradient_scale = static_cast<float>(1.0 / static_cast<double>(std::max<std::int64_t>(valid_, 1)));
    executor_.run(row, std::span(&batch, 1), scales, nullptr);
    keep(index);
  }

  Answers finish(Communicator& world) {
    device_.copy_to_host(Lane::compute, &answers_.loss, executor_.sums().loss.data, sizeof answers_.loss);
    device_.synchronize();
    world.all_reduce(TensorView(&answers_.loss, DType::f64, {1}), ReduceOp::sum);
    answers_.loss /= static_cast<double>(std::max<std::int64_t>(valid_, 1));
    sum(world, answers_.logits);
    for (Answers::Router& router : answers_.routers) sum(world, router.scores);
    if (gradients_ == Gradients::of_mean_loss) sum_gradients(world);
    return std::move(answers_);
  }

 private:
  std::int64_t vocab() const { return model_.stage().vocab_size(); }

  StashLayout layout() {
    const Phase phase = gradients_ == Gradients::none ? Phase::evaluate : Phase::train;
    return StashLayout(model_.stage().layers(), BatchShape{1, sequences_.length, phase, 0, model_.compute()},
                       StashMode::fused, model_.stage().width());
  }

  void sum_gradients(Communicator& world) {
    const auto tensors = parallel::make_tensor_communicator(world, device_);
    (tensors ? *tensors : world).all_reduce(model_.parameters().all_gradients(), ReduceOp::sum);
  }

  void find_routers() {
    for (std::size_t layer = 0; layer < model_.stage().layers().size(); ++layer) {
      const TensorView logits = stash_.find(layer, "router.logits", 0);
      if (logits.empty()) continue;
      layers_.push_back(layer);
      const auto elements = static_cast<std::size_t>(sequences_.count * sequences_.length * logits.extent(1));
      answers_.routers.push_back(
          {model_.stage().name(layer), logits.extent(1), std::vector<float>(elements)});
    }
  }

  void keep(std::int64_t index) {
    const std::int64_t length = sequences_.length;
    device_.copy_to_host(Lane::compute, answers_.logits.data() + index * length * vocab(), logits_.data,
                         logits_.bytes());
    for (std::size_t router = 0; router < layers_.size(); ++router)
      keep_scores(answers_.routers[router], layers_[router], index);
  }

  void keep_scores(Answers::Router& router, std::size_t layer, std::int64_t index) {
    const TensorView experts = stash_.find(layer, "routing.experts", 0),
                     weights = stash_.find(layer, "routing.weights", 0);
    std::vector<std::int32_t> chosen(static_cast<std::size_t>(experts.count()));
    std::vector<float> scores(chosen.size());
    device_.copy_to_host(Lane::compute, chosen.data(), experts.data, experts.bytes());
    device_.copy_to_host(Lane::compute, scores.data(), weights.data, weights.bytes());
    device_.synchronize();
    const std::int64_t top_k = experts.extent(1);
    for (std::size_t slot = 0; slot < chosen.size(); ++slot) {
      const std::int64_t token = index * sequences_.length + static_cast<std::int64_t>(slot) / top_k;
      router.scores[static_cast<std::size_t>(token * router.experts + chosen[slot])] = scores[slot];
    }
  }

  static void sum(Communicator& world, std::vector<float>& values) {
    world.all_reduce(TensorView(values.data(), DType::f32, {static_cast<std::int64_t>(values.size())}),
                     ReduceOp::sum);
  }

  Device& device_;
  ModelInstance& model_;
  const Sequences& sequences_;
  Gradients gradients_;
  Stash stash_;
  Executor executor_;
  Arena memory_;
  TensorView logits_;
  Answers answers_;
  std::vector<std::size_t> layers_;
  std::int64_t valid_ = 0;
};

}  // namespace

Answers answer(Device& device, ModelInstance& model, Communicator& world, const Sequences& sequences,
               Gradients gradients) {
  if (gradients == Gradients::of_mean_loss) model.parameters().start_gradients(device);
  Pass pass(device, model, sequences, gradients);
  for (std::int64_t index = world.rank(); index < sequences.count; index += world.size()) pass.run(index);
  if (gradients == Gradients::of_mean_loss) model.parameters().finish_gradients(device);
  return pass.finish(world);
}

}  // namespace caravan::jobs
