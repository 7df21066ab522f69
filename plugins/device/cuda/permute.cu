#include "cuda_ops.hpp"

namespace caravan::cuda {

void CudaOps::permute_forward(const PermuteForward& args) {
  Ops::permute_forward(args);
}

void CudaOps::permute_backward(const PermuteBackward& args) {
  Ops::permute_backward(args);
}

void CudaOps::combine_forward(const CombineForward& args) {
  Ops::combine_forward(args);
}

void CudaOps::combine_backward(const CombineBackward& args) {
  Ops::combine_backward(args);
}

}  // namespace caravan::cuda
