#pragma once

#include <string>
#include <vector>

#include "caravan/comm.hpp"
#include "caravan/device.hpp"

namespace caravan::jobs {

/// Everything of one name that ran on a device.
struct KernelTime {
  std::string name;
  std::int64_t calls = 0;
  double seconds = 0;
};

/// The parts of a device's time.
struct DeviceTimes {
  double computation_s = 0;
  double exchanges_s = 0;  ///< exchanges between devices ran and nothing else did
  double idle_s = 0;       ///< nothing ran
};

/// Where the time of a device went between its first and its last activity.
struct Profile {
  std::vector<KernelTime> kernels;  ///< longest first
  double span_s = 0;
  double idle_s = 0;                  ///< of the span, nothing ran
  double longest_gap_s = 0;           ///< in which nothing ran
  std::string before_gap, after_gap;  ///< what ran last before it and first after it
  double exchanges_s = 0;             ///< of the span, exchanges between devices ran and nothing else did
  double fraction(double seconds) const { return span_s > 0 ? seconds / span_s : 0; }
};

/// `activities` by start; they may overlap.
Profile summarise(const std::vector<DeviceActivity>& activities);

/// The name of a C++ kernel without return type, arguments and namespaces; other names as they are.
std::string short_name(const std::string& kernel);

/// A table of times a step.
std::string as_text(const Profile& profile, int steps);

/// [collective] Of all ranks, in order, on each of them: ranks that compute for longer than others are waited
/// for in exchanges.
std::vector<DeviceTimes> times_of_ranks(const Profile& profile, Communicator& world);

/// A line for each rank, a step; nothing for one.
std::string as_text(const std::vector<DeviceTimes>& ranks, int steps);

}  // namespace caravan::jobs
