#include "cuda_ops.hpp"

namespace caravan::cuda {

void CudaOps::rmsnorm_forward(const RmsNormForward& args) {
  Ops::rmsnorm_forward(args);
}

void CudaOps::rmsnorm_backward_input(const RmsNormBackwardInput& args) {
  Ops::rmsnorm_backward_input(args);
}

void CudaOps::rmsnorm_backward_weight(const RmsNormBackwardWeight& args) {
  Ops::rmsnorm_backward_weight(args);
}

}  // namespace caravan::cuda
