#pragma once

#include <optional>
#include <vector>

#include "caravan/comm.hpp"
#include "io/checkpoint/manifest.hpp"

// Records of a checkpoint's files among its ranks: text on the way, and nothing where there is no way.
namespace caravan::jobs {

/// [every rank] On rank 0 the records of all ranks in order, without those that have none; empty elsewhere.
std::vector<io::FileRecord> gather_records(Communicator& world, std::optional<io::FileRecord> own);

/// [every rank] Rank 0's record on all; elsewhere `record` is not read.
io::FileRecord broadcast_record(Communicator& world, std::optional<io::FileRecord> record);

}  // namespace caravan::jobs
