#include "parallel/block_types.hpp"

#include <fmt/format.h>

#include <climits>

#include "caravan/check.hpp"
#include "parallel/mpi_call.hpp"

namespace caravan::parallel {

BlockTypes::~BlockTypes() {
  for (Entry& entry : entries_) MPI_Type_free(&entry.type);
}

MPI_Datatype BlockTypes::get(std::int64_t bytes, std::int64_t extent) {
  for (const Entry& entry : entries_) {
    if (entry.bytes == bytes && entry.extent == extent) return entry.type;
  }
  CARAVAN_CHECK(
      bytes <= INT_MAX, CommError,
      fmt::format("one row of {} bytes cannot be sent (MPI counts bytes in 31 bits). Use shorter rows?",
                  bytes));
  MPI_Datatype contiguous = MPI_DATATYPE_NULL, type = MPI_DATATYPE_NULL;
  check_mpi(MPI_Type_contiguous(static_cast<int>(bytes), MPI_BYTE, &contiguous), "MPI_Type_contiguous",
            "types");
  check_mpi(MPI_Type_create_resized(contiguous, 0, extent, &type), "MPI_Type_create_resized", "types");
  check_mpi(MPI_Type_commit(&type), "MPI_Type_commit", "types");
  MPI_Type_free(&contiguous);
  entries_.push_back({bytes, extent, type});
  return type;
}

}  // namespace caravan::parallel
