#include "jobs/setup/idle_threads.hpp"

#include <cstdlib>

namespace caravan::jobs {

/// libgomp reads its environment when it is loaded, which the plugin of the device `host` brings about.
void let_idle_threads_sleep() {
  // Measured, see docs/performance.md: not slower than spinning for ever where cores are free.
  constexpr const char* kTurns = "3000";
  constexpr int kKeep = 0;
  if (!std::getenv("OMP_WAIT_POLICY")) ::setenv("GOMP_SPINCOUNT", kTurns, kKeep);
}

}  // namespace caravan::jobs
