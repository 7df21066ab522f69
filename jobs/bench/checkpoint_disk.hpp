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
  std::uint64_t bytes = 0;
  double raw_write_s = 0;  ///< one process, O_DIRECT, 4 MiB a call, to the end of fsync: what dd does
  double write_s = 0;      ///< a checkpoint by all ranks from copies in memory, until it is in place
  double raw_read_s = 0;   ///< the same file by one process, O_DIRECT, 4 MiB a call
  double read_s = 0;  ///< the checkpoint by all ranks, each other tensors than it wrote, every byte verified
};

/// [collective] The page cache does not help: writes end with fsync, and files leave it before they are read.
DiskTiming time_disk(const DiskBenchmark& benchmark, Communicator& world);

}  // namespace caravan::jobs
