#include "cuda_ops.hpp"

namespace caravan::cuda {

void CudaOps::qk_prepare_forward(const QkPrepareForward& args) {
  Ops::qk_prepare_forward(args);
}

void CudaOps::qk_prepare_backward(const QkPrepareBackward& args) {
  Ops::qk_prepare_backward(args);
}

}  // namespace caravan::cuda
