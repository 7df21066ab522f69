#include "cuda_ops.hpp"

namespace caravan::cuda {

void CudaOps::linear_forward(const LinearForward& args) {
  Ops::linear_forward(args);
}

void CudaOps::linear_backward_input(const LinearBackwardInput& args) {
  Ops::linear_backward_input(args);
}

void CudaOps::linear_backward_weight(const LinearBackwardWeight& args) {
  Ops::linear_backward_weight(args);
}

}  // namespace caravan::cuda
