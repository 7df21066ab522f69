#include "cuda_ops.hpp"

namespace caravan::cuda {

void CudaOps::adamw_step(const AdamWStep& args) {
  Ops::adamw_step(args);
}

void CudaOps::expert_bias_update(const ExpertBiasUpdate& args) {
  Ops::expert_bias_update(args);
}

}  // namespace caravan::cuda
