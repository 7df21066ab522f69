#pragma once

#include <cstdint>

namespace caravan::jobs {

/// Which sequences of a global batch a rank takes: data rank r of R takes the r-th of R equal stretches, in
/// micro-batches.
struct BatchShare {
  std::int64_t global_batch = 1;  ///< sequences of a step over all ranks
  std::int64_t local_batch = 1;   ///< sequences of a micro-batch
  int data_rank = 0, data_ranks = 1;
  std::int64_t microbatches() const { return global_batch / (local_batch * data_ranks); }
  std::int64_t first(std::int64_t cursor) const { return cursor + global_batch / data_ranks * data_rank; }
};

}  // namespace caravan::jobs
