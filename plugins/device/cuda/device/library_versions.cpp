#include "plugins/device/cuda/device/library_versions.hpp"

#include <cublasLt.h>
#include <cudnn_graph.h>
#include <fmt/format.h>

#include "caravan/check.hpp"

namespace caravan::cuda {
namespace {

/// 130102 is 13.1.2, of cuBLAS as of cuDNN.
LibraryVersion version_of(std::size_t number) {
  return {static_cast<int>(number / 10000), static_cast<int>(number / 100 % 100)};
}

void check(const std::string& library, LibraryVersion built, LibraryVersion loaded) {
  const std::string problem = version_problem(library, built, loaded);
  CARAVAN_CHECK(problem.empty(), DeviceError, problem);
}

}  // namespace

std::string version_problem(const std::string& library, LibraryVersion built, LibraryVersion loaded) {
  if (loaded.major == built.major && loaded.minor >= built.minor) return {};
  return fmt::format(
      "{} {}.{} is loaded, and device 'cuda' was built with {}.{} (it must be of the same major version and "
      "not "
      "older). Set LD_LIBRARY_PATH to the one it was built with, or build again?",
      library, loaded.major, loaded.minor, built.major, built.minor);
}

void check_libraries() {
  check("cuBLAS", {CUBLAS_VER_MAJOR, CUBLAS_VER_MINOR}, version_of(cublasLtGetVersion()));
  check("cuDNN", {CUDNN_MAJOR, CUDNN_MINOR}, version_of(cudnnGetVersion()));
}

std::string describe_libraries() {
  const LibraryVersion cublas = version_of(cublasLtGetVersion()), cudnn = version_of(cudnnGetVersion());
  return fmt::format("cuBLAS {}.{}, cuDNN {}.{}", cublas.major, cublas.minor, cudnn.major, cudnn.minor);
}

}  // namespace caravan::cuda
