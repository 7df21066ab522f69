#pragma once

#include <string>
#include <vector>

#include "caravan/device.hpp"
#include "caravan/error.hpp"
#include "jobs/bench/peak.hpp"

namespace caravan::jobs {

/// What the ranks of a benchmark run on.
struct RankDevices {
  std::vector<std::string> all;  ///< descriptions of all ranks, in order; on rank 0
  FmaPeak peak;  ///< of all ranks at once: multiply-adds of host cores, or matrix products of GPUs
};

/// [collective] Asks and measures.
RankDevices measure_rank_devices(Device& device, Communicator& world);

/// Lines "device    …": of rank 0, and of each other rank whose device is another.
std::string device_lines(const std::vector<std::string>& all);

}  // namespace caravan::jobs
