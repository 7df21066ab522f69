#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "caravan/comm.hpp"

namespace caravan::jobs {

/// Exchanges of tensors among all ranks, alone.
struct CommBenchmark {
  std::string device = "auto";
  std::vector<std::string> operations;  ///< names; empty: all
  std::vector<std::int64_t> sizes;      ///< bytes, see CommTiming::bytes
  std::int64_t repeats = 20;
};

/// One exchange of random fp32 numbers. Times are medians of the slowest rank's.
struct CommTiming {
  std::string operation;
  /// Of the larger of a rank's two buffers: what all ranks together gather, what each gives to be summed,
  /// what each sends in all.
  std::int64_t bytes = 0;
  double seconds = 0;
  /// Bytes that leave each rank whatever the algorithm: `bytes` times (n − 1) / n; twice that for all_reduce,
  /// once for send_receive.
  double moved_bytes = 0;
  double limit_bytes_per_s = 0;  ///< of a plain copy by all ranks at once; 0: no limit is known
};

struct CommTimings {
  std::string device;
  std::vector<CommTiming> timings;
};

/// Names of all operations.
std::span<const char* const> comm_operations();

/// [collective over world] ConfigError for an unknown operation, and for one rank.
CommTimings time_comm(const CommBenchmark& benchmark, Communicator& world);

}  // namespace caravan::jobs
