#include "plugins/device/cuda/comm/make_communicator.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "plugins/device/cuda/comm/nccl_communicator.hpp"
#include "plugins/device/cuda/device/library_versions.hpp"

namespace caravan::cuda {
namespace {

int loaded_version() {
  int version = 0;
  check_nccl(ncclGetVersion(&version), "ncclGetVersion", "all");
  return version;
}

/// 22803 is 2.28.3.
std::string text_of(int version) {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

/// All ranks must have loaded the same one, which must serve this build.
void check_versions(Communicator& bootstrap) {
  const int loaded = loaded_version();
  const std::string problem =
      version_problem("NCCL", {NCCL_MAJOR, NCCL_MINOR}, {loaded / 10000, loaded / 100 % 100});
  CARAVAN_CHECK(problem.empty(), DeviceError, problem);
  std::vector<std::int32_t> all(static_cast<std::size_t>(bootstrap.size()));
  std::int32_t own = loaded;
  bootstrap.all_gather(TensorView(&own, DType::i32, {1}),
                       TensorView(all.data(), DType::i32, {std::ssize(all)}));
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    CARAVAN_CHECK(
        all[rank] == all.front(), DeviceError,
        fmt::format("NCCL {} is loaded on rank {} and {} on rank 0 of group '{}' (all must have one "
                    "version). Does LD_LIBRARY_PATH differ between their hosts?",
                    text_of(all[rank]), rank, text_of(all.front()), bootstrap.name()));
  }
}

}  // namespace

std::unique_ptr<Communicator> make_communicator(Context& context, Communicator& bootstrap, Lane lane) {
  check_versions(bootstrap);
  return std::make_unique<NcclCommunicator>(context, bootstrap, lane);
}

std::string describe_exchanges() {
  return "NCCL " + text_of(loaded_version());
}

bool has_own_exchanges() {
  return true;
}

}  // namespace caravan::cuda
