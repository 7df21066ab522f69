#include "plugins/device/cuda/comm/meeting.hpp"
#include "plugins/device/cuda/kernels/launch.hpp"

namespace caravan::cuda {
namespace {

__device__ std::uint64_t* number_of(const Meeting& meeting, int of, int from) {
  return reinterpret_cast<std::uint64_t*>(meeting.numbers[of] +
                                          kNumberBytes * static_cast<std::size_t>(from));
}

/// What this GPU wrote before, by kernels that have ended too, is there for whoever reads the number.
__device__ void release(std::uint64_t* to, std::uint64_t number) {
  asm volatile("st.release.sys.global.u64 [%0], %1;" ::"l"(to), "l"(number) : "memory");
}

__device__ std::uint64_t acquire(const std::uint64_t* from) {
  std::uint64_t number;
  asm volatile("ld.acquire.sys.global.u64 %0, [%1];" : "=l"(number) : "l"(from) : "memory");
  return number;
}

__device__ std::uint64_t nanoseconds() {
  std::uint64_t now;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
  return now;
}

/// One thread a rank.
__global__ void meet_kernel(Meeting meeting) {
  const int other = static_cast<int>(threadIdx.x);
  if (other >= meeting.ranks) return;
  __threadfence_system();
  release(number_of(meeting, other, meeting.rank), meeting.number);
  if (*meeting.is_over != 0) return;
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

}  // namespace

void post_meeting(const Meeting& meeting, cudaStream_t stream) {
  meet_kernel<<<1, kMostMeeting, 0, stream>>>(meeting);
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace caravan::cuda
