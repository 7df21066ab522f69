#include "cuda_ops.hpp"

namespace caravan::cuda {

void CudaOps::route_forward(const RouteForward& args) {
  Ops::route_forward(args);
}

void CudaOps::route_backward(const RouteBackward& args) {
  Ops::route_backward(args);
}

}  // namespace caravan::cuda
