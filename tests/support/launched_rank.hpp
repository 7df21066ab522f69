#pragma once

#include <array>
#include <cstdlib>

namespace caravan::test {

/// What launchers tell a rank its number in: Open MPI's, and those that speak PMI (MPICH's).
inline constexpr std::array kRankVariables{"OMPI_COMM_WORLD_RANK", "PMI_RANK"};

/// The same for a shell.
inline constexpr const char* kShellRank = "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}";

/// Null without a launcher.
inline const char* launched_rank() {
  for (const char* variable : kRankVariables) {
    if (const char* text = std::getenv(variable)) return text;
  }
  return nullptr;
}

}  // namespace caravan::test
