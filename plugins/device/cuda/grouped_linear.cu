#include "cuda_ops.hpp"

namespace caravan::cuda {

void CudaOps::grouped_linear_forward(const GroupedLinearForward& args) {
  Ops::grouped_linear_forward(args);
}

void CudaOps::grouped_linear_backward_input(const GroupedLinearBackwardInput& args) {
  Ops::grouped_linear_backward_input(args);
}

void CudaOps::grouped_linear_backward_weight(const GroupedLinearBackwardWeight& args) {
  Ops::grouped_linear_backward_weight(args);
}

}  // namespace caravan::cuda
