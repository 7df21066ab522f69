#include "jobs/train/validator.hpp"

#include <algorithm>

#include "caravan/ops.hpp"

namespace caravan::jobs {
namespace {

Config validation_data(const Config& given) {
  Config data = given.is_null() ? Config::map() : given;
  if (!data.has("source") && !data.has("split")) data.set("split", "validation");
  return data;
}

/// One micro-batch of every data rank at a time.
BatchShare one_round(const BatchShare& training) {
  BatchShare share = training;
  share.global_batch = share.local_batch * share.data_ranks;
  return share;
}

StashLayout evaluation_layout(TrainSetup& setup) {
  BatchShape shape = setup.shape();
  shape.phase = Phase::evaluate;
  return StashLayout(setup.model().stage().layers(), shape, StashMode::inference,
                     setup.model().stage().width());
}

}  // namespace

Validator::Validator(TrainSetup& setup)
    : setup_(setup),
      source_(setup.open_data(validation_data(setup.job().validation.data))),
      reader_(*source_, one_round(setup.share())),
      stash_(setup.device(), evaluation_layout(setup), 1),
      executor_(setup.device(), setup.model().stage(), stash_) {}

Validator::Result Validator::run() {
  executor_.zero_sums();
  double sums[2] = {0, 0};
  const int ranks = setup_.share().data_ranks;
  // A rank may have none in the last round: every number of ranks measures the same samples.
  for (std::int64_t index = setup_.share().data_rank; index < setup_.job().validation.batches;
       index += ranks) {
    const MicroBatch& batch = reader_.read(index / ranks * reader_.share().global_batch).front();
    executor_.forward(batch);
    sums[1] += static_cast<double>(std::count_if(batch.labels.begin(), batch.labels.end(),
                                                 [](auto label) { return label != kIgnoredLabel; }));
  }
  setup_.device().copy_to_host(Lane::compute, &sums[0], executor_.sums().loss.data, sizeof sums[0]);
  setup_.device().synchronize();
  setup_.data_ranks().all_reduce(TensorView(sums, DType::f64, {2}), ReduceOp::sum);
  return {sums[1] > 0 ? sums[0] / sums[1] : 0, static_cast<std::int64_t>(sums[1])};
}

}  // namespace caravan::jobs
