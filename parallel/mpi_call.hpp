#pragma once

#include <mpi.h>

#include <string_view>

#include "caravan/comm.hpp"

namespace caravan::parallel {

/// Throws CommError with MPI's own text when `status` is not MPI_SUCCESS.
/// `group` names the communicator, `call` what was asked of it.
void check_mpi(int status, std::string_view call, std::string_view group);

/// The MPI type that `type` is reduced in. CommError for the 16-bit floats, which MPI cannot add; bf16
/// is RankSum's.
MPI_Datatype reduction_type(DType type);

MPI_Op mpi_op(ReduceOp op);

}  // namespace caravan::parallel
