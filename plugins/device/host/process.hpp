#pragma once

namespace caravan::host {

/// Starts Kokkos when nobody has, once in a process; it ends at exit. Any number of devices may call this.
void start_kokkos();

/// Threads of a matrix product: `threads`, or when that is 0 OMP_NUM_THREADS, or else 1, because ranks, not
/// threads, are what fills the cores of a node.
int product_threads(int threads);

/// Numbers below the normal range become 0 on the calling thread: they cost a hundred cycles each and carry
/// nothing.
void flush_denormals();

}  // namespace caravan::host
