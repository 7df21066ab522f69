#pragma once

#include "caravan/comm.hpp"

namespace caravan::jobs {

/// Turns SIGUSR1, SIGTERM and SIGINT, from here to the destructor, into a wish to save and leave. A second
/// SIGINT ends the process at once. One object a process; construct it early: before, these signals kill.
class StopRequest {
 public:
  StopRequest();
  ~StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  /// The signal that this process got; 0: none.
  int signal() const noexcept;
  /// [collective] A signal that some rank got, the same on all; 0: none. Costs one small all-reduce.
  int agreed(Communicator& world) const;
};

}  // namespace caravan::jobs
