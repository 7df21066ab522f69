#include "plugins/device/cuda/device/probe.hpp"

namespace caravan::cuda {
namespace {

__global__ void probe_kernel() {}

}  // namespace

cudaError_t probe_kernels() {
  cudaFuncAttributes attributes{};
  return cudaFuncGetAttributes(&attributes, probe_kernel);
}

}  // namespace caravan::cuda
