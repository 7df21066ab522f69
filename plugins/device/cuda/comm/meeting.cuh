#pragma once

#include "plugins/device/cuda/comm/meeting.hpp"
#include "plugins/device/cuda/kernels/vec.cuh"

// Meetings in kernels: rows that are written to other GPUs, and read there, need no kernel of their own
// between. Whole warps come and wait.
namespace caravan::cuda {

/// Of rank `of`: the last meeting that `from` has come to.
__device__ inline std::uint64_t* number_of(const Meeting& meeting, int of, int from) {
  return reinterpret_cast<std::uint64_t*>(meeting.numbers[of] +
                                          kNumberBytes * static_cast<std::size_t>(from));
}

/// What this thread knows to be written is so for whoever learns of it afterwards.
__device__ inline void fence() {
  asm volatile("fence.acq_rel.sys;" ::: "memory");
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

/// What a rank has written that has come to this part of a meeting, and to all before.
inline constexpr int kLastPart = kMeetingParts - 1;
__device__ inline std::uint64_t count_of(const Meeting& meeting, int part) {
  return (meeting.number - 1) * kMeetingParts + static_cast<std::uint64_t>(part) + 1;
}

/// One warp, when it knows all that was to be written to be so: this rank has come.
__device__ inline void come(const Meeting& meeting, int part = kLastPart) {
  for (int other = static_cast<int>(threadIdx.x % kWarp); other < meeting.ranks;
       other += static_cast<int>(kWarp))
    release(number_of(meeting, other, meeting.rank), count_of(meeting, part));
}

/// Each of `warps` warps, when it has written what it writes, or knows it to be written: the last one comes
/// for all. A warp waits once for its own writes to arrive, not once for each row.
__device__ inline void come_with_all(const Meeting& meeting, unsigned warps, int part = kLastPart) {
  if (meeting.number == 0) return;
  unsigned* const tickets = meeting.tickets + part;
  int is_last = 0;
  __syncwarp();
  if (threadIdx.x % kWarp == 0) {
    fence();
    is_last = atomicAdd(tickets, 1u) == warps - 1 ? 1 : 0;
    if (is_last != 0) *tickets = 0;
    fence();
  }
  __syncwarp();
  if (__shfl_sync(kWholeWarp, is_last, 0) != 0) come(meeting, part);
}

/// One thread: until `other` has come, or some rank is missing.
__device__ inline void wait_for_rank(const Meeting& meeting, int other, int part) {
  const std::uint64_t* const theirs = number_of(meeting, meeting.rank, other);
  const std::uint64_t begin = nanoseconds();
  while (acquire(theirs) < count_of(meeting, part)) {
    if (acquire(meeting.is_over) != 0) return;
    if (nanoseconds() - begin < meeting.timeout_ns) continue;
    atomicOr_system(reinterpret_cast<unsigned long long*>(meeting.missing), 1ull << other);
    atomicExch(reinterpret_cast<unsigned long long*>(meeting.is_over), 1ull);
    __threadfence_system();
    return;
  }
}

/// Every warp that reads what other ranks wrote: until all have come. A kernel that waits leaves
/// multiprocessors to others, which the ranks that have not come may wait for.
__device__ inline void wait_for_all(const Meeting& meeting, int part = kLastPart) {
  if (meeting.number == 0) return;
  for (int other = static_cast<int>(threadIdx.x % kWarp); other < meeting.ranks;
       other += static_cast<int>(kWarp))
    wait_for_rank(meeting, other, part);
  __syncwarp();
}

/// One warp: whether all come to `part` within so long; nobody is missing yet where they do not.
__device__ inline bool come_within(const Meeting& meeting, int part, std::uint64_t nanoseconds_left) {
  const std::uint64_t begin = nanoseconds();
  bool have_come = true;
  for (int other = static_cast<int>(threadIdx.x % kWarp); other < meeting.ranks;
       other += static_cast<int>(kWarp)) {
    const std::uint64_t* const theirs = number_of(meeting, meeting.rank, other);
    while (have_come && acquire(theirs) < count_of(meeting, part))
      have_come = nanoseconds() - begin < nanoseconds_left;
  }
  return __all_sync(kWholeWarp, have_come);
}

}  // namespace caravan::cuda
