#include "cuda_ops.hpp"

namespace caravan::cuda {

void CudaOps::embedding_forward(const EmbeddingForward& args) {
  Ops::embedding_forward(args);
}

void CudaOps::embedding_backward_weight(const EmbeddingBackwardWeight& args) {
  Ops::embedding_backward_weight(args);
}

void CudaOps::add_positions(const AddPositions& args) {
  Ops::add_positions(args);
}

}  // namespace caravan::cuda
