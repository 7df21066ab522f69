#pragma once

#include <nccl.h>

#include "caravan/comm.hpp"
#include "caravan/tensor.hpp"

namespace caravan::cuda {

/// Error for a type that NCCL does not know.
ncclDataType_t nccl_type(DType type);

ncclRedOp_t nccl_op(ReduceOp op);

}  // namespace caravan::cuda
