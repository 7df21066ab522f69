#pragma once

#include <cstdint>

#include "caravan/token_map.hpp"

namespace caravan::jobs {

/// Which sequences of a global batch a rank takes: data rank r of R takes the r-th of R equal stretches, in
/// micro-batches; of each of these sequences context rank r of R takes its blocks.
struct BatchShare {
  std::int64_t global_batch = 1;  ///< sequences of a step over all ranks
  std::int64_t local_batch = 1;   ///< sequences of a micro-batch
  int data_rank = 0, data_ranks = 1;
  int context_rank = 0, context_ranks = 1;
  std::int64_t microbatches() const { return global_batch / (local_batch * data_ranks); }
  /// What a rank has of sequences of `length` tokens from sample `first_sample` on.
  TokenMap token_map(std::int64_t first_sample, std::int64_t length) const {
    return context_ranks == 1 ? TokenMap::whole(first_sample, length)
                              : TokenMap::context(first_sample, length, context_ranks, context_rank);
  }
  std::int64_t first(std::int64_t cursor) const { return cursor + global_batch / data_ranks * data_rank; }
};

}  // namespace caravan::jobs
