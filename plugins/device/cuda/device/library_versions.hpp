#pragma once

#include <string>

namespace caravan::cuda {

/// What decides whether code that was built with one version of a library runs with another.
struct LibraryVersion {
  int major = 0, minor = 0;
  bool operator==(const LibraryVersion&) const = default;
};

/// Why a library that was `loaded` does not serve code that was `built` with it; empty when it does: the same
/// major version, and none older.
std::string version_problem(const std::string& library, LibraryVersion built, LibraryVersion loaded);

/// DeviceError when the loaded cuBLASLt or cuDNN does not serve this build.
void check_libraries();

/// "cuBLAS 13.1, cuDNN 9.19", as loaded.
std::string describe_libraries();

}  // namespace caravan::cuda
