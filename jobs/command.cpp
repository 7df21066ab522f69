#include "jobs/command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "caravan/check.hpp"

namespace caravan::jobs {
namespace {

/// As Open MPI's launcher and those that speak PMI tell a process; 1 without one.
int ranks_started() {
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    if (const char* text = std::getenv(variable)) return std::max(std::atoi(text), 1);
  }
  return 1;
}

}  // namespace

void refuse_ranks(const std::string& what) {
  const int ranks = ranks_started();
  CARAVAN_CHECK(ranks == 1, ConfigError,
                fmt::format("{} on {} ranks (it is the work of one process, and each would do all of it). "
                            "Without mpirun?",
                            what, ranks));
}

}  // namespace caravan::jobs
