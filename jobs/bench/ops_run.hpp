#pragma once

#include <string>
#include <vector>

#include "jobs/bench/ops_cases.hpp"
#include "jobs/bench/ops_timing.hpp"
#include "jobs/bench/peak.hpp"

namespace caravan::jobs {

struct OpResult {
  std::string name;
  double bytes = 0, flops = 0;  ///< declared
  double seconds = 0;           ///< median of one call
  double stream_bandwidth = 0;  ///< bytes/s of plain streams that move as much
  double fraction = 0;  ///< of the limit: the longer of flops at peak and bytes at that speed, by seconds
  double of_share = 0;  ///< of a context rank: time by 1/N of that of the whole operator; else 0
};

struct OpsReport {
  std::string device;
  FmaPeak peak;  ///< of a GPU the rate of a large matrix product; 0 when it has none
  OpsShape shape;
  std::vector<OpResult> results;
};

struct OpsSelection {
  std::string only;  ///< part of the names to run, and of what they are compared with; empty: all
  TimingRule timing;
};

/// Measures the operators of `device` whose names contain `selection.only`, each on its own tensors. One that
/// the device lacks is left out and said in the log.
OpsReport measure_ops(Device& device, const OpsShape& shape, const OpsSelection& selection);

}  // namespace caravan::jobs
