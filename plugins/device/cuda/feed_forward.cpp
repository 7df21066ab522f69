#include "cuda_ops.hpp"

namespace caravan::cuda {

void CudaOps::gate_up_forward(const GateUpForward& args) {
  if (args.offsets.empty()) {
    linear_forward({args.x, args.w, {}, {}, args.pre});
  } else {
    grouped_linear_forward({args.x, args.offsets, args.w, args.pre});
  }
  swiglu_forward({args.pre, args.activated});
}

void CudaOps::down_backward_input(const DownBackwardInput& args) {
  if (args.offsets.empty()) {
    linear_backward_input({args.dy, args.w, args.dactivated});
  } else {
    grouped_linear_backward_input({args.dy, args.offsets, args.w, args.dactivated});
  }
  swiglu_backward({args.pre, args.dactivated, args.dpre});
}

}  // namespace caravan::cuda
