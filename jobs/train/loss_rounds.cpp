#include "jobs/train/loss_rounds.hpp"

#include <algorithm>

#include "caravan/ops.hpp"

namespace caravan::jobs {
namespace {

/// As many micro-batches of every data rank at a time as the plan has.
BatchShare one_round(BatchShare share, const RankPlan& plan) {
  share.global_batch = share.local_batch * share.data_ranks * plan.microbatches;
  return share;
}

BatchShape evaluation(BatchShape shape) {
  shape.phase = Phase::evaluate;
  return shape;
}

}  // namespace

/// Tokens of all kinds, so that no expert is chosen by all of them.
LossRounds::Nothing::Nothing(const Parts& parts, bool has_documents)
    : tokens(static_cast<std::size_t>(parts.shape.tokens())),
      labels(tokens.size(), kIgnoredLabel),
      documents(has_documents
                    ? static_cast<std::size_t>(parts.shape.sequences * parts.shape.sequence_length())
                    : 0),
      token_map(parts.share.token_map(0, parts.shape.sequence_length())) {
  for (std::size_t at = 0; at < tokens.size(); ++at)
    tokens[at] = static_cast<std::int32_t>(at % static_cast<std::size_t>(parts.vocab_size));
}

LossRounds::LossRounds(const Parts& parts, DataSource& source)
    : parts_(parts),
      reader_(source, one_round(parts.share, parts.plan)),
      memory_(parts.device, parts.model, parts.plan, evaluation(parts.shape)),
      executor_(parts.device, parts.plan, memory_.stages(), parts.mesh.group(MeshAxis::pp).tensors,
                parts.whereabouts),
      nothing_(parts, source.has_documents()) {}

std::int64_t LossRounds::microbatches_a_round() const {
  return reader_.share().microbatches() * parts_.share.data_ranks;
}

std::int64_t LossRounds::first_sample(std::int64_t round) const {
  return reader_.share().first(round * reader_.share().global_batch);
}

void LossRounds::start() {
  executor_.zero_sums();
  tokens_ = bytes_ = 0;
}

std::int64_t LossRounds::measured_by(int rank, std::int64_t round, std::int64_t batches) const {
  const std::int64_t each = reader_.share().microbatches();
  const std::int64_t first = (round * parts_.share.data_ranks + rank) * each;
  return std::clamp<std::int64_t>(batches - first, 0, each);
}

void LossRounds::run(std::int64_t round, std::int64_t batches) {
  const std::int64_t mine = measured_by(parts_.share.data_rank, round, batches);
  const bool walks_together = parts_.model.sharded() != nullptr || parts_.mesh.degree(MeshAxis::ep) > 1;
  const std::int64_t walked = walks_together ? measured_by(0, round, batches) : mine;  // rank 0 has the most
  if (walked == 0) return;
  enter(parts_.whereabouts, "reading validation data");
  const auto read = reader_.read(round * reader_.share().global_batch, mine);
  std::vector<MicroBatch> all(read.begin(), read.end());
  while (static_cast<std::int64_t>(all.size()) < walked) all.push_back(nothing_.view());
  executor_.run(all, {}, nullptr);
  count(all);
  parts_.device.synchronize();  // who asks to leave is not to wait for what the host has queued ahead
}

/// Ranks of a tensor group, and of a pipeline, have the same tokens.
void LossRounds::count(std::span<const MicroBatch> batches) {
  if (parts_.shape.tensor_rank != 0 || parts_.mesh.coordinate(MeshAxis::pp) != 0) return;
  tokens_ += static_cast<double>(count_valid(batches));
  if (parts_.token_bytes.empty()) return;
  for (const MicroBatch& batch : batches) {
    for (const std::int32_t label : batch.labels)
      if (label != kIgnoredLabel) bytes_ += parts_.token_bytes[static_cast<std::size_t>(label)];
  }
}

LossSums LossRounds::own() {
  LossSums sums{.tokens = tokens_, .bytes = bytes_};
  parts_.device.copy_to_host(Lane::compute, &sums.loss, executor_.sums().loss.data, sizeof sums.loss);
  parts_.device.copy_to_host(Lane::compute, &sums.overflow, executor_.sums().overflow.data,
                             sizeof sums.overflow);
  parts_.device.synchronize();
  return sums;
}

void LossRounds::sum_everywhere(std::span<double> values) {
  const TensorView view(values.data(), DType::f64, {static_cast<std::int64_t>(values.size())});
  for (const MeshAxis axis : {MeshAxis::pp, MeshAxis::rows})
    parts_.mesh.group(axis).host.all_reduce(view, ReduceOp::sum);
}

}  // namespace caravan::jobs
