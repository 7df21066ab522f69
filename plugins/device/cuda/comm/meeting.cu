#include "plugins/device/cuda/comm/meeting.cuh"
#include "plugins/device/cuda/kernels/launch.hpp"

namespace caravan::cuda {
namespace {

/// One warp.
__global__ void meet_kernel(Meeting meeting) {
  come(meeting);
  wait_for_all(meeting);
}

}  // namespace

void post_meeting(const Meeting& meeting, cudaStream_t stream) {
  meet_kernel<<<1, kWarp, 0, stream>>>(meeting);
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace caravan::cuda
