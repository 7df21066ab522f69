#include "plugins/device/cuda/comm/nccl_handle.hpp"

#include <fmt/format.h>

#include <exception>

#include "caravan/check.hpp"

namespace caravan::cuda {
namespace {

/// NCCL's remedy of its own failure.
const char* remedy_of(ncclResult_t result) {
  switch (result) {
    case ncclRemoteError:
    case ncclSystemError:
      return " Has another rank ended, or does the network between these hosts fail?";
    case ncclInvalidUsage:
      return " Has every rank a GPU of its own? NCCL_DEBUG=WARN says more.";
    default:
      return " NCCL_DEBUG=WARN says more.";
  }
}

}  // namespace

void check_nccl(ncclResult_t result, const char* what, const std::string& group, ncclComm_t comm) {
  if (result == ncclSuccess || result == ncclInProgress) return;
  throw CommError(fmt::format("{} on group '{}' failed: {} ({}).{}", what, group, ncclGetErrorString(result),
                              ncclGetLastError(comm), remedy_of(result)));
}

NcclHandle::NcclHandle(Communicator& bootstrap) : name_(bootstrap.name()) {
  ncclUniqueId id{};
  if (bootstrap.rank() == 0) check_nccl(ncclGetUniqueId(&id), "ncclGetUniqueId", name_);
  bootstrap.broadcast(TensorView(&id, DType::u8, {static_cast<std::int64_t>(sizeof id)}), 0);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.commName = name_.c_str();
  check_nccl(ncclCommInitRankConfig(&comm_, bootstrap.size(), id, bootstrap.rank(), &config),
             "ncclCommInitRankConfig", name_);
}

NcclHandle::~NcclHandle() {
  if (comm_ == nullptr) return;
  if (std::uncaught_exceptions() > 0) {
    ncclCommAbort(comm_);
    return;
  }
  ncclCommFinalize(comm_);
  ncclCommDestroy(comm_);
}

NcclHandle NcclHandle::split(int color, int key) const {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.commName = name_.c_str();
  ncclComm_t part = nullptr;
  check_nccl(ncclCommSplit(comm_, color, key, &part, &config), "ncclCommSplit", name_, comm_);
  return {part, name_};
}

void NcclHandle::check_posted() const {
  ncclResult_t state = ncclSuccess;
  check_nccl(ncclCommGetAsyncError(comm_, &state), "ncclCommGetAsyncError", name_, comm_);
  check_nccl(state, "an exchange", name_, comm_);
}

}  // namespace caravan::cuda
