#include "cuda_ops.hpp"

namespace caravan::cuda {

void CudaOps::swiglu_forward(const SwigluForward& args) {
  Ops::swiglu_forward(args);
}

void CudaOps::swiglu_backward(const SwigluBackward& args) {
  Ops::swiglu_backward(args);
}

void CudaOps::gelu_forward(const GeluForward& args) {
  Ops::gelu_forward(args);
}

void CudaOps::gelu_backward(const GeluBackward& args) {
  Ops::gelu_backward(args);
}

}  // namespace caravan::cuda
