#include "jobs/watch/hasty_launcher.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "caravan/log.hpp"

namespace caravan::jobs {
namespace {

// Open MPI's default is 1. Below this, finishing a step and saving it is a matter of luck.
constexpr int kShortestPatience = 5;

/// Set by mpirun for its ranks (Open MPI 4; 5), and not by srun.
bool started_by_mpirun() {
  return std::getenv("OMPI_MCA_orte_hnp_uri") || std::getenv("PRTE_LAUNCHED");
}

/// Seconds between asking and killing.
int patience_of_mpirun() {
  int seconds = 1;
  for (const char* name : {"OMPI_MCA_odls_base_sigkill_timeout", "PRTE_MCA_odls_base_sigkill_timeout"}) {
    if (const char* text = std::getenv(name))
      std::from_chars(text, text + std::string_view(text).size(), seconds);
  }
  return seconds;
}

}  // namespace

void warn_of_hasty_launcher() {
  if (!started_by_mpirun() || patience_of_mpirun() >= kShortestPatience) return;
  log_warning(fmt::format(
      "Ctrl-C kills this run {} s after mpirun has asked it to leave (odls_base_sigkill_timeout), maybe "
      "before "
      "it has saved. Start mpirun with --mca odls_base_sigkill_timeout 30, or send it SIGUSR1 instead?",
      patience_of_mpirun()));
}

}  // namespace caravan::jobs
