#pragma once

#include <span>
#include <vector>

#include "caravan/data.hpp"
#include "core/run/executor.hpp"

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

/// Reads a rank's micro-batches of a step into buffers that are allocated once.
class BatchReader {
 public:
  BatchReader(DataSource& source, const BatchShare& share);
  /// The micro-batches of the global batch that starts at sample `cursor`; valid until the next call.
  std::span<const MicroBatch> read(std::int64_t cursor) { return read(cursor, share_.microbatches()); }
  /// Its first `count` micro-batches; the samples of others are not asked for.
  std::span<const MicroBatch> read(std::int64_t cursor, std::int64_t count);
  const BatchShare& share() const noexcept { return share_; }

 private:
  DataSource& source_;
  BatchShare share_;
  std::size_t length_;
  std::vector<std::int32_t> tokens_, labels_, documents_;
  std::vector<MicroBatch> batches_;
};

}  // namespace caravan::jobs
