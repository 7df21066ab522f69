#pragma once

#include <string>

namespace caravan::jobs {

/// What CMake knew of this build; its source is made from built_with.cpp.in.
struct BuiltWith {
  const char* compiler;  ///< with its version and the build type
  const char* mpi;       ///< implementation and major version, as in the fingerprint of plugins
  const char* hdf5;
  const char* cuda;   ///< compiler and chips, or why there is no cuda device
  const char* reads;  ///< of the optional parts that read outside files: those that are here
  const char* lacks;  ///< and those that are not
};
const BuiltWith& built_with();

/// What `--version` says: version and commit, what it was built with, the MPI that is loaded, the devices
/// that are installed.
std::string version_text();

}  // namespace caravan::jobs
