#include "caravan/reference_ops.hpp"

namespace caravan {

// Through the operators of the device that derives from these.

void ReferenceOps::gate_up_forward(const GateUpForward& args) {
  if (args.offsets.empty()) {
    linear_forward({args.x, args.w, {}, {}, args.pre});
  } else {
    grouped_linear_forward({args.x, args.offsets, args.w, args.pre});
  }
  swiglu_forward({args.pre, args.activated});
}

void ReferenceOps::down_backward_input(const DownBackwardInput& args) {
  if (args.offsets.empty()) {
    linear_backward_input({args.dy, args.w, args.dactivated});
  } else {
    grouped_linear_backward_input({args.dy, args.offsets, args.w, args.dactivated});
  }
  swiglu_backward({args.pre, args.dactivated, args.dpre});
}

}  // namespace caravan
