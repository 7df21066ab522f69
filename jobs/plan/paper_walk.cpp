#include "jobs/plan/paper_walk.hpp"

#include <fmt/format.h>

#include <optional>

#include "core/plugin/crash_marker.hpp"

namespace caravan::jobs {
namespace {

std::size_t surrounding_bytes(const BatchShape& shape, std::int64_t width) {
  Arena all = Arena::measuring("surroundings");
  all.take(DType::f64, {8, 8});
  for (int boundary = 0; boundary < 2; ++boundary) all.take(shape.compute, {shape.rows(), width});
  all.take(DType::i32, {shape.sequences * shape.sequence_length()});
  return all.used();
}

const char* text_of(Visit::What what) {
  switch (what) {
    case Visit::What::backward_input:
      return "backward_input";
    case Visit::What::backward_weight:
      return "backward_weight";
    default:
      return "forward";
  }
}

/// Names the layer that ends the process.
class NamedVisits final : public WalkObserver {
 public:
  explicit NamedVisits(const Stage& stage)
      : stage_(stage),
        walk_(
            "a dry run walks through it, where tensors have no memory (host code asks run.device.computes() "
            "first, see docs/sdk.md)") {}
  void starts(const Visit& visit) override { name(text_of(visit.what), visit); }
  void visited(const Visit&) override { visit_.reset(); }
  void waits(const Visit& visit) override { name("wait", visit); }
  void arrived(const Visit&) override { visit_.reset(); }

 private:
  void name(const char* what, const Visit& visit) {
    visit_.emplace(fmt::format("{} of segment '{}' of {}, a layer/{}:", what, visit.segment->name(),
                               stage_.name(visit.layer), stage_.plugin(visit.layer)));
  }

  const Stage& stage_;
  CrashMarker walk_;
  std::optional<CrashMarker> visit_;  // within walk_
};

}  // namespace

PaperSurroundings::PaperSurroundings(Device& paper, const BatchShape& shape, std::int64_t width)
    : memory(paper, surrounding_bytes(shape, width), "surroundings"),
      sums(memory),
      squares(memory.take(DType::f64, {1})),
      clip(memory.take(DType::f32, {1})),
      input(memory.take(shape.compute, {shape.rows(), width})),
      output_gradient(memory.take(shape.compute, {shape.rows(), width})),
      ids(memory.take(DType::i32, {shape.sequences * shape.sequence_length()})) {}

void walk_on_paper(Device& paper, Stage& stage, Stash& stash, const PaperSurroundings& around,
                   const TokenMap& map, Documents documents) {
  const StashLayout& layout = stash.layout();
  stash.bind(0, stage.is_first() ? TensorView{} : around.input,
             stage.is_last() ? TensorView{} : around.output_gradient);
  StageRunner runner(paper, stage, stash, around.sums);
  const auto ids = around.ids_of_whole_sequences();
  const auto own = ids.first(static_cast<std::size_t>(layout.shape().tokens()));
  MicroBatch batch{.tokens = own, .labels = own, .token_map = map};
  if (documents == Documents::yes) batch.documents = ids;
  runner.load(batch, 0, StepScales{}, Pass::first);
  NamedVisits visits(stage);
  const auto walk = [&](ActionKind kind) { runner.cursor(kind, 0, &visits).finish(); };
  walk(ActionKind::forward);
  if (layout.mode() != StashMode::split) return walk(ActionKind::backward);
  walk(ActionKind::backward_input);
  walk(ActionKind::backward_weight);
}

}  // namespace caravan::jobs
