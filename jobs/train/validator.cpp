#include "jobs/train/validator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "caravan/check.hpp"
#include "caravan/ops.hpp"
#include "core/run/train_step.hpp"
#include "jobs/plan/validation_pass.hpp"

namespace caravan::jobs {
namespace {

/// As many micro-batches of every data rank at a time as the pipeline has ranks.
BatchShare one_round(const BatchShare& training, std::int64_t microbatches) {
  BatchShare share = training;
  share.global_batch = share.local_batch * share.data_ranks * microbatches;
  return share;
}

BatchShape evaluation(BatchShape shape) {
  shape.phase = Phase::evaluate;
  return shape;
}

}  // namespace

/// Tokens of all kinds, so that no expert is chosen by all of them.
Validator::Nothing::Nothing(const BatchShape& shape, const TokenMap& map, std::int64_t vocab_size,
                            bool has_documents)
    : tokens(static_cast<std::size_t>(shape.tokens())),
      labels(tokens.size(), kIgnoredLabel),
      documents(has_documents ? static_cast<std::size_t>(shape.sequences * shape.sequence_length()) : 0),
      token_map(map) {
  for (std::size_t at = 0; at < tokens.size(); ++at)
    tokens[at] = static_cast<std::int32_t>(at % static_cast<std::size_t>(vocab_size));
}

Validator::Validator(TrainSetup& setup, Whereabouts& whereabouts)
    : setup_(setup),
      whereabouts_(whereabouts),
      source_(open_validation_data(setup)),
      batches_(validation_batches(setup.job(), *source_)),
      reader_(*source_, one_round(setup.share(), setup.pipeline().validation.microbatches)),
      memory_(setup.device(), setup.model(), setup.pipeline().validation, evaluation(setup.shape())),
      executor_(setup.device(), setup.pipeline().validation, memory_.stages(), setup.pipeline_ranks().tensors,
                &whereabouts),
      nothing_(setup.shape(), setup.share().token_map(0, setup.shape().sequence_length()),
               setup.whole_model().stage().vocab_size(), source_->has_documents()) {}

std::optional<Validator::Result> Validator::run(const std::function<bool()>& is_over) {
  executor_.zero_sums();
  valid_tokens_ = 0;
  const std::int64_t a_round = reader_.share().microbatches() * setup_.share().data_ranks;
  const std::int64_t rounds = (batches_ + a_round - 1) / a_round;
  for (std::int64_t round = 0; round < rounds; ++round) {
    if (round > 0 && is_over()) return std::nullopt;
    run_round(round);
  }
  return result();
}

/// Micro-batches of a round that data rank `rank` measures.
std::int64_t Validator::measured_by(int rank, std::int64_t round) const {
  const std::int64_t each = reader_.share().microbatches();
  const std::int64_t first = (round * setup_.share().data_ranks + rank) * each;
  return std::clamp<std::int64_t>(batches_ - first, 0, each);
}

/// Every number of ranks measures the same samples.
void Validator::run_round(std::int64_t round) {
  const std::int64_t mine = measured_by(setup_.share().data_rank, round);
  const bool is_sharded = setup_.pipeline().rooms.has_value();
  const std::int64_t walked = is_sharded ? measured_by(0, round) : mine;  // rank 0 has the most
  if (walked == 0) return;
  whereabouts_.enter("reading validation data");
  const auto read = reader_.read(round * reader_.share().global_batch, mine);
  std::vector<MicroBatch> batches(read.begin(), read.end());
  while (static_cast<std::int64_t>(batches.size()) < walked) batches.push_back(nothing_.view());
  executor_.run(batches, {}, nullptr);
  valid_tokens_ += static_cast<std::int64_t>(count_valid(batches));
  setup_.device().synchronize();  // who asks to leave is not to wait for what the host has queued ahead
}

Validator::Result Validator::result() {
  // Ranks of a tensor group have counted the same tokens.
  double sums[3] = {0, 0, setup_.shape().tensor_rank == 0 ? static_cast<double>(valid_tokens_) : 0};
  whereabouts_.enter("all-reduce of the validation loss");
  setup_.device().copy_to_host(Lane::compute, &sums[0], executor_.sums().loss.data, sizeof sums[0]);
  setup_.device().copy_to_host(Lane::compute, &sums[1], executor_.sums().overflow.data, sizeof sums[1]);
  setup_.device().synchronize();
  setup_.pipeline_ranks().host.all_reduce(TensorView(sums, DType::f64, {2}), ReduceOp::sum);
  setup_.mesh().group(MeshAxis::rows).host.all_reduce(TensorView(sums, DType::f64, {3}), ReduceOp::sum);
  CARAVAN_CHECK(sums[1] == 0, ValidationError, "validation: " + without_room(sums[1]));
  CARAVAN_CHECK(std::isfinite(sums[0]), ValidationError,
                fmt::format("validation loss {} over {} samples (not finite, although the training loss is). "
                            "Look at the validation data, and at weights that training does not reach?",
                            sums[0], batches_ * setup_.share().local_batch));
  return {sums[2] > 0 ? sums[0] / sums[2] : 0, static_cast<std::int64_t>(sums[2])};
}

}  // namespace caravan::jobs
