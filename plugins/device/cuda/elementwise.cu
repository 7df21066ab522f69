#include "cuda_ops.hpp"

namespace caravan::cuda {

void CudaOps::dropout(const Dropout& args) {
  Ops::dropout(args);
}

void CudaOps::add(const Add& args) {
  Ops::add(args);
}

void CudaOps::sum_of_squares(const SumOfSquares& args) {
  Ops::sum_of_squares(args);
}

}  // namespace caravan::cuda
