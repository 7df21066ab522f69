#pragma once

namespace caravan::host {

/// Starts Kokkos when nobody has, once in a process; it ends at exit. Any number of devices may call this.
void start_kokkos();

/// Threads of a rank: `threads`, or when that is 0 OMP_NUM_THREADS, or else 1, because ranks fill the cores
/// of a node unless the job says otherwise.
int threads_of_rank(int threads);

/// Cores on which this process may run.
int usable_cores();

/// Numbers below the normal range become 0 on the calling thread: they cost a hundred cycles each and carry
/// nothing.
void flush_denormals();

}  // namespace caravan::host
