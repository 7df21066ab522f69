#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "io/checkpoint/manifest.hpp"
#include "io/checkpoint/run_lock.hpp"
#include "io/checkpoint/staging.hpp"
#include "io/checkpoint/value.hpp"

namespace caravan::io {

class DataFile;

/// What a checkpoint says of itself beside its tensors; equal on all writers.
struct CheckpointHead {
  std::int64_t step = 0;
  std::int64_t tokens_seen = 0;
  std::string job_yaml;                                         ///< the resolved job
  std::string layout;                                           ///< "pp=1 dp_replicate=2", for people
  std::string creator;                                          ///< "caravan 0.1.0"
  std::vector<std::pair<std::string, CheckpointValue>> values;  ///< "/state/next_sample" and the like
};

/// The elements of piece `index`, in host memory until the next call.
using PieceSource = std::function<TensorView(std::size_t index)>;

/// [any rank, beside the others] Writes what writer `writer` of `writers` holds into the unfinished folder:
/// the only writer fills checkpoint.h5 itself, several write shard-NNNNN.h5 each. On the disk when it
/// returns.
FileRecord write_share(const std::string& folder, int writer, int writers, const CheckpointHead& head,
                       const std::vector<Piece>& pieces, const PieceSource& elements);

/// [one rank, after all shares] Writes checkpoint.h5 where there are several shares, then the manifest, and
/// puts the folder in place unless the run has a newer owner. `lock` may be null: a checkpoint of no run.
/// Returns the final path.
std::string publish(StagingFolder& folder, const CheckpointHead& head, std::vector<FileRecord> shares,
                    const RunLock* lock);

/// The root's attributes and values.
void describe(DataFile& file, const CheckpointHead& head);

}  // namespace caravan::io
