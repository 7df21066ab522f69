#pragma once

#include <nccl.h>

#include <string>
#include <utility>

#include "caravan/comm.hpp"

namespace caravan::cuda {

/// CommError with NCCL's own words unless `result` is ncclSuccess. `what` was asked of `group`.
void check_nccl(ncclResult_t result, const char* what, const std::string& group, ncclComm_t comm = nullptr);

/// A communicator of NCCL, or none. It is aborted while an exception unwinds, because the others may never
/// come to its end.
class NcclHandle {
 public:
  NcclHandle() = default;
  /// [collective over `bootstrap`] Of all its ranks, for the calling thread's GPU.
  explicit NcclHandle(Communicator& bootstrap);
  NcclHandle(NcclHandle&& other) noexcept
      : comm_(std::exchange(other.comm_, nullptr)), name_(std::move(other.name_)) {}
  NcclHandle& operator=(NcclHandle&&) = delete;
  ~NcclHandle();

  /// [collective over its ranks] Those of equal `color`, ordered by `key`; without a color none.
  NcclHandle split(int color, int key) const;

  explicit operator bool() const noexcept { return comm_ != nullptr; }
  ncclComm_t get() const noexcept { return comm_; }
  const std::string& name() const noexcept { return name_; }
  /// CommError when something that was posted has failed since.
  void check_posted() const;

 private:
  NcclHandle(ncclComm_t comm, std::string name) : comm_(comm), name_(std::move(name)) {}

  ncclComm_t comm_ = nullptr;
  std::string name_;
};

}  // namespace caravan::cuda
