#include "cuda_ops.hpp"

namespace caravan::cuda {

void CudaOps::attention_forward(const AttentionForward& args) {
  Ops::attention_forward(args);
}

void CudaOps::attention_backward(const AttentionBackward& args) {
  Ops::attention_backward(args);
}

}  // namespace caravan::cuda
