#include "jobs/version/version.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <mpi.h>

#include <array>
#include <string_view>

#include "caravan/error.hpp"
#include "caravan/fingerprint.h"
#include "jobs/bench/commit.hpp"
#include "jobs/setup/machine.hpp"

namespace caravan::jobs {
namespace {

/// Of the library that is loaded, which need not be the one that was built with: as far as the first comma or
/// the end of the line, because some go on for a page. MPI lets this be asked before it starts.
std::string loaded_mpi() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  std::string first;
  for (const char c :
       std::string_view(text.data()).substr(0, std::string_view(text.data()).find_first_of(",\n")))
    first += c == '\t' ? ' ' : c;
  return first;
}

/// Names alone: no plugin is opened, so this says nothing of what this machine can serve.
std::string installed_devices() {
  try {
    return fmt::format("{}", fmt::join(make_registry()->names("device"), ", "));
  } catch (const Error& error) {
    return fmt::format("unknown ({})", error.message());
  }
}

}  // namespace

std::string version_text() {
  const BuiltWith& built = built_with();
  return fmt::format(
      "caravan {}, commit {}\n"
      "compiler  {}\n"
      "MPI       {} (built for {})\n"
      "HDF5      {}\n"
      "CUDA      {}\n"
      "devices   {}\n"
      "reads     {}\n"
      "lacks     {}",
      CARAVAN_VERSION, built_commit(), built.compiler, loaded_mpi(), built.mpi, built.hdf5, built.cuda,
      installed_devices(), built.reads, built.lacks);
}

}  // namespace caravan::jobs
