#pragma once

#include <nccl.h>

#include <string>

#include "plugins/device/cuda/comm/nccl_handle.hpp"

namespace caravan::cuda {

/// Calls of NCCL that go together. A group that an exception leaves is closed: later calls of this thread
/// would belong to it.
class NcclGroup {
 public:
  explicit NcclGroup(const std::string& name) { check_nccl(ncclGroupStart(), "ncclGroupStart", name); }
  ~NcclGroup() {
    if (!is_ended_) (void)ncclGroupEnd();
  }
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;

  ncclResult_t end() {
    is_ended_ = true;
    return ncclGroupEnd();
  }

 private:
  bool is_ended_ = false;
};

}  // namespace caravan::cuda
