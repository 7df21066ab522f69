#pragma once

#include <memory>

#include "caravan/comm.hpp"
#include "jobs/job/job.hpp"
#include "jobs/watch/watchdog.hpp"

namespace caravan::jobs {

/// [collective] The watchdog of this rank of a run, as the job's section `watchdog` wants it: heartbeat on
/// rank 0; a rank that stands still ends the job with ExitCode::watchdog. Borrows `whereabouts`.
std::unique_ptr<Watchdog> watch_run(const Whereabouts& whereabouts, const Job& job, Communicator& world);

}  // namespace caravan::jobs
