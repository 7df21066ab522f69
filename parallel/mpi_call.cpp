#include "parallel/mpi_call.hpp"

#include "caravan/error.hpp"

#include <fmt/format.h>

#include <array>

namespace caravan::parallel {

void check_mpi(int status, std::string_view call, std::string_view group) {
  if (status == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING + 1> text{};
  int length = 0;
  MPI_Error_string(status, text.data(), &length);
  throw CommError(
      fmt::format("{} on group '{}' failed: {} (MPI error {})", call, group, text.data(), status));
}

MPI_Datatype reduction_type(DType type) {
  switch (type) {
    case DType::f32:
      return MPI_FLOAT;
    case DType::f64:
      return MPI_DOUBLE;
    case DType::i32:
      return MPI_INT32_T;
    case DType::i64:
      return MPI_INT64_T;
    case DType::u8:
      return MPI_UINT8_T;
    case DType::bf16:  // see RankSum
    case DType::f16:
      break;
  }
  throw CommError(
      fmt::format("cannot reduce {} between ranks (MPI has no such number). Reduce in f32?", name_of(type)));
}

MPI_Op mpi_op(ReduceOp op) {
  switch (op) {
    case ReduceOp::sum:
      return MPI_SUM;
    case ReduceOp::min:
      return MPI_MIN;
    case ReduceOp::max:
      return MPI_MAX;
  }
  throw CommError("unknown reduction");
}

}  // namespace caravan::parallel
