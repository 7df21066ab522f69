#pragma once

namespace caravan::jobs {

/// Open MPI's mpirun passes SIGINT (Ctrl-C) and SIGTERM on to its ranks and kills them a little later. Warns
/// where that is too soon for a run that saves when it is asked to leave. [every rank] Rank 0 says it.
void warn_of_hasty_launcher();

}  // namespace caravan::jobs
