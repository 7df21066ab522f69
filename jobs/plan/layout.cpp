#include "jobs/plan/layout.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "caravan/checked.hpp"
#include "caravan/token_map.hpp"
#include "jobs/job/place.hpp"

namespace caravan::jobs {
namespace {

void check_tokens(const Job::Train& train, const BatchShare& share) {
  const Size length{"train.sequence_length", train.sequence_length};
  checked_product({{"train.local_batch_size", share.local_batch}, length}, kMostRows,
                  "tokens of a micro-batch");
  checked_product({{"train.steps", train.steps}, {kSequencesOfStep, share.global_batch}, length},
                  kMostNumbered, "tokens in a run");
}

/// ConfigError where context ranks are too many for the sequences.
void check_blocks(const Job::Train& train, int ranks) {
  if (ranks > 1) TokenMap::context(0, train.sequence_length, ranks, 0);
}

MeshDegrees degrees_of(const Job::Parallel& parallel) {
  const std::pair<const char*, std::int64_t> data[] = {{"data_replicate", parallel.data_replicate},
                                                       {"data_shard", parallel.data_shard}};
  for (const auto& [key, degree] : data)
    CARAVAN_CHECK(degree != 0, ConfigError,
                  fmt::format("parallel.{}=0 (must be at least 1, or -1 for all ranks that are left)", key));
  MeshDegrees degrees;
  degrees.dp_replicate = narrow<int>({"parallel.data_replicate", parallel.data_replicate});
  degrees.dp_shard = narrow<int>({"parallel.data_shard", parallel.data_shard});
  if (degrees.dp_shard == -1 && degrees.dp_replicate == -1) degrees.dp_replicate = 1;
  degrees.pp = narrow<int>({"parallel.pipeline", parallel.pipeline});
  degrees.cp = narrow<int>({"parallel.context", parallel.context});
  degrees.tp = narrow<int>({"parallel.tensor", parallel.tensor});
  degrees.ep = narrow<int>({"parallel.expert", parallel.expert});
  if (parallel.divides_experts_by_tensor) degrees.etp = narrow<int>({"parallel.tensor", parallel.tensor});
  degrees.async_tp = parallel.async_tensor;
  degrees.cp_ring = parallel.rotates_in_ring;
  return degrees;
}

void check_async(const Job::Parallel& parallel) {
  CARAVAN_CHECK(
      !parallel.async_tensor || parallel.tensor > 1, ConfigError,
      "parallel.async_tensor=true with parallel.tensor=1 (no rows are gathered between ranks). Leave it "
      "out, or set parallel.tensor?");
}

void check_rotation(const Job::Parallel& parallel) {
  CARAVAN_CHECK(!parallel.rotates_in_ring || parallel.context > 1, ConfigError,
                "parallel.rotate=ring with parallel.context=1 (no keys travel between ranks). Leave it out, "
                "or set parallel.context?");
}

}  // namespace

MeshLayout mesh_layout(const Job& job, int ranks) {
  return at_place(place_of(job.resolved, {"parallel"}), [&] {
    check_async(job.parallel);
    check_rotation(job.parallel);
    const MeshLayout layout(degrees_of(job.parallel), ranks);
    check_blocks(job.train, layout.degree(MeshAxis::cp));
    return layout;
  });
}

BatchShare divide_batch(const Job& job, const MeshLayout& layout, int rank) {
  BatchShare share;
  share.local_batch = job.train.local_batch_size;
  share.data_ranks = layout.degree(MeshAxis::batch);
  share.data_rank = layout.coordinate(rank, MeshAxis::batch);
  share.context_ranks = layout.degree(MeshAxis::cp);
  share.context_rank = layout.coordinate(rank, MeshAxis::cp);
  const std::int64_t wanted = job.parallel.microbatches;
  CARAVAN_CHECK(
      wanted != 0, ConfigError,
      "parallel.microbatches=0 (a step has at least one micro-batch). -1 for what the batch comes to?");
  const Size local{"train.local_batch_size", share.local_batch}, ranks{"data ranks", share.data_ranks};
  const std::int64_t smallest = checked_product({local, ranks}, kMostNumbered, kSequencesOfStep);
  const std::int64_t by_pipeline =
      checked_product({local, ranks, {"parallel.microbatches", std::max<std::int64_t>(wanted, 1)}},
                      kMostNumbered, kSequencesOfStep);
  share.global_batch = job.train.global_batch_size < 0 ? by_pipeline : job.train.global_batch_size;
  CARAVAN_CHECK(
      share.global_batch > 0 && share.global_batch % smallest == 0, ConfigError,
      fmt::format(
          "train.global_batch_size={} (must be a multiple of local_batch_size={} x {} data ranks = {})",
          share.global_batch, share.local_batch, share.data_ranks, smallest));
  CARAVAN_CHECK(
      wanted < 1 || share.microbatches() == wanted, ConfigError,
      fmt::format("parallel.microbatches={} and train.global_batch_size={} (that is {} micro-batches "
                  "of {} sequences on {} data ranks). Leave one out?",
                  wanted, share.global_batch, share.microbatches(), share.local_batch, share.data_ranks));
  check_tokens(job.train, share);
  return share;
}

}  // namespace caravan::jobs
