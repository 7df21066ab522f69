#pragma once

#include "plugins/device/cuda/comm/meeting.hpp"

// Meetings in kernels: rows that are written to other GPUs, and read there, need no kernel of their own
// between. Blocks have at least kMostMeeting threads, one for each other rank.
namespace caravan::cuda {

/// Of rank `of`: the last meeting to which `from` has come.
__device__ inline std::uint64_t* number_of(const Meeting& meeting, int of, int from) {
  return reinterpret_cast<std::uint64_t*>(meeting.numbers[of] +
                                          kNumberBytes * static_cast<std::size_t>(from));
}

/// What this GPU wrote before, by kernels that have ended too, is there for whoever reads the number.
__device__ inline void release(std::uint64_t* to, std::uint64_t number) {
  asm volatile("st.release.sys.global.u64 [%0], %1;" ::"l"(to), "l"(number) : "memory");
}

__device__ inline std::uint64_t acquire(const std::uint64_t* from) {
  std::uint64_t number;
  asm volatile("ld.acquire.sys.global.u64 %0, [%1];" : "=l"(number) : "l"(from) : "memory");
  return number;
}

__device__ inline std::uint64_t nanoseconds() {
  std::uint64_t now;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
  return now;
}

/// One block, when all that was to be written has been: this rank has come.
__device__ inline void come(const Meeting& meeting) {
  const int other = static_cast<int>(threadIdx.x);
  if (other >= meeting.ranks) return;
  __threadfence_system();
  release(number_of(meeting, other, meeting.rank), meeting.number);
}

/// Every block of a grid, when it has written what it writes: the last one comes for all. A block waits once
/// for its own writes to arrive, not once for each row.
__device__ inline void come_with_grid(const Meeting& meeting) {
  __shared__ bool is_last;
  if (meeting.number == 0) return;
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence_system();
    is_last = atomicAdd(meeting.tickets, 1u) == gridDim.x - 1;
    if (is_last) *meeting.tickets = 0;
    __threadfence_system();
  }
  __syncthreads();
  if (is_last) come(meeting);
}

/// One thread: until `other` has come, or is missing.
__device__ inline void wait_for_rank(const Meeting& meeting, int other) {
  const std::uint64_t* const theirs = number_of(meeting, meeting.rank, other);
  const std::uint64_t begin = nanoseconds();
  while (acquire(theirs) < meeting.number) {
    if (nanoseconds() - begin < meeting.timeout_ns) continue;
    atomicOr_system(reinterpret_cast<unsigned long long*>(meeting.missing), 1ull << other);
    atomicExch(reinterpret_cast<unsigned long long*>(meeting.is_over), 1ull);
    __threadfence_system();
    return;
  }
}

/// Every block that reads what other ranks wrote: until all have come. A kernel that waits leaves
/// multiprocessors to others, which the ranks that have not come may wait for.
__device__ inline void wait_for_all(const Meeting& meeting) {
  if (meeting.number == 0) return;
  const int other = static_cast<int>(threadIdx.x);
  if (other < meeting.ranks && acquire(meeting.is_over) == 0) wait_for_rank(meeting, other);
  __syncthreads();
}

}  // namespace caravan::cuda
