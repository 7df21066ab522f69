#pragma once

#include <mpi.h>

#include <csignal>

namespace caravan::test {

// What mpirun ends with of its own accord. Open MPI's codes a signal as a shell does and asks nobody after
// Ctrl-C; MPICH's gives the number alone, and waits for what its ranks say.
#ifdef OPEN_MPI
inline constexpr bool kLauncherIsHasty = true;
inline constexpr int kCodeOfKilledRank = 128 + SIGKILL, kCodeOfInterrupt = 1;
#else
inline constexpr bool kLauncherIsHasty = false;
inline constexpr int kCodeOfKilledRank = SIGKILL, kCodeOfInterrupt = 75;
#endif

}  // namespace caravan::test
