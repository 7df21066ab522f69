#pragma once

#include <span>
#include <vector>

#include "caravan/data.hpp"
#include "core/run/executor.hpp"
#include "jobs/plan/batch_share.hpp"

namespace caravan::jobs {

/// Reads a rank's micro-batches of a step into buffers that are allocated once. Labels are those of the next
/// token wherever a context rank's blocks end; documents are of whole sequences.
class BatchReader {
 public:
  BatchReader(DataSource& source, const BatchShare& share);
  /// The micro-batches of the global batch that starts at sample `cursor`; valid until the next call.
  std::span<const MicroBatch> read(std::int64_t cursor) { return read(cursor, share_.microbatches()); }
  /// Its first `count` micro-batches; the samples of others are not asked for.
  std::span<const MicroBatch> read(std::int64_t cursor, std::int64_t count);
  const BatchShare& share() const noexcept { return share_; }

 private:
  TokenMap map(std::int64_t first_sample) const;
  /// Sample `index`, into what is kept of sequence `row`.
  void read_sample(std::int64_t index, std::size_t row);

  DataSource& source_;
  BatchShare share_;
  std::size_t length_;
  std::vector<std::int32_t> whole_tokens_, whole_labels_;  // of one sample
  std::vector<std::int32_t> tokens_, labels_, documents_;
  std::vector<MicroBatch> batches_;
};

}  // namespace caravan::jobs
