#include "cuda_ops.hpp"

namespace caravan::cuda {

void CudaOps::linear_cross_entropy(const LinearCrossEntropy& args) {
  Ops::linear_cross_entropy(args);
}

}  // namespace caravan::cuda
