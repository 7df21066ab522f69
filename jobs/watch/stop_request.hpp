#pragma once

#include "caravan/comm.hpp"

namespace caravan::jobs {

/// Turns SIGUSR1, SIGTERM, SIGINT, SIGHUP (unless ignored) and SIGPIPE (whoever read the output is gone) into
/// a wish to save and leave, from here to the end of the process: who asks while MPI starts or ends finds no
/// process that dies of it. From then on messages that nobody takes from a pipe are lost, as long as this
/// object lives; standard output waits for its reader. A second SIGINT ends the process at once. One object a
/// process; construct it before everything else.
class StopRequest {
 public:
  StopRequest();
  ~StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  /// The first signal that this process got; 0: none.
  int signal() const noexcept;
  /// [collective] A signal that some rank got, the same on all; 0: none. Costs one small all-reduce.
  int agreed(Communicator& world) const;
};

}  // namespace caravan::jobs
