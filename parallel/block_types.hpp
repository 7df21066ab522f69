#pragma once

#include <mpi.h>

#include <cstdint>
#include <vector>

namespace caravan::parallel {

/// MPI types of `bytes` contiguous bytes that are `extent` bytes apart in an array.
/// They let counts be rows and let a piece of every rank's block be addressed, so no count passes 2^31.
/// Kept until the owner goes: Open MPI 4 reads them while a non-blocking collective runs.
class BlockTypes {
 public:
  BlockTypes() = default;
  ~BlockTypes();
  BlockTypes(const BlockTypes&) = delete;
  BlockTypes& operator=(const BlockTypes&) = delete;

  /// CommError when `bytes` exceeds 2^31 - 1.
  MPI_Datatype get(std::int64_t bytes, std::int64_t extent);

 private:
  struct Entry {
    std::int64_t bytes, extent;
    MPI_Datatype type;
  };
  std::vector<Entry> entries_;
};

}  // namespace caravan::parallel
