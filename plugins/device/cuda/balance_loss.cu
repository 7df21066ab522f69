#include "cuda_ops.hpp"

namespace caravan::cuda {

void CudaOps::balance_loss_forward(const BalanceLossForward& args) {
  Ops::balance_loss_forward(args);
}

void CudaOps::balance_loss_backward(const BalanceLossBackward& args) {
  Ops::balance_loss_backward(args);
}

}  // namespace caravan::cuda
