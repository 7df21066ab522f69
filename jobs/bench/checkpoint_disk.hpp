#pragma once

#include <cstdint>
#include <string>

#include "caravan/comm.hpp"

namespace caravan::jobs {

struct DiskBenchmark {
  std::string folder;  ///< on the disk to measure; a subfolder is made and removed
  std::uint64_t bytes = std::uint64_t{1} << 30;
  int repeats = 3;
};

/// Medians, in seconds for all bytes.
struct DiskTiming {
  /// One process, O_DIRECT, 4 MiB a call. `dd`: from memory in ordinary pages, which is what dd does. `raw`:
  /// in huge pages, the most that the disk was seen to take.
  struct Way {
    double dd_s = 0, raw_s = 0, caravan_s = 0;
  };
  std::uint64_t bytes = 0;
  Way write;  ///< to the end of fsync; caravan: a checkpoint by all ranks, from copies in memory until in
              ///< place
  Way read;   ///< caravan: by all ranks, layers in turn, every byte verified
};

/// [collective] The page cache does not help: writes end with fsync, and files leave it before they are read.
/// Every repeat begins with another of the three, so that none has the disk at its best.
DiskTiming time_disk(const DiskBenchmark& benchmark, Communicator& world);

}  // namespace caravan::jobs
