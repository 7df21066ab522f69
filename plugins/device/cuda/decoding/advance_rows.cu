#include <string>

#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/device/view.hpp"
#include "plugins/device/cuda/kernels/follow.cuh"
#include "plugins/device/cuda/kernels/launch.hpp"

namespace caravan::cuda {
namespace {

constexpr int kThreads = 256;

struct Advance {
  const std::int32_t *drawn, *stops;
  std::int32_t *left, *tokens, *slots, *positions;
  int rows, stop_count, sequences;
};

/// A thread for each row.
__global__ void __launch_bounds__(kThreads) advance_kernel(Advance a) {
  let_next_kernel_begin();
  wait_for_kernel_before();
  const int row = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (row >= a.rows) return;
  const std::int32_t slot = a.slots[row], token = a.drawn[row];
  bool over = slot < 0 || slot >= a.sequences || token < 0;
  for (int s = 0; s < a.stop_count; ++s) over = over || a.stops[s] == token;
  if (slot >= 0 && slot < a.sequences && --a.left[slot] <= 0) over = true;
  a.tokens[row] = over ? 0 : token;
  if (over)
    a.slots[row] = -1;
  else
    ++a.positions[row];
}

}  // namespace

void CudaOps::advance_rows(const AdvanceRows& args) {
  const Call call("advance_rows");
  const std::int64_t rows = args.drawn.count();
  if (rows == 0) return;
  const Advance advance{call.indices("drawn", args.drawn, rows),
                        args.stops.empty() ? nullptr : call.indices("stops", args.stops, kAny),
                        call.indices("left", args.left, kAny),
                        call.indices("tokens", args.tokens, rows),
                        call.indices("slots", args.slots, rows),
                        call.indices("positions", args.positions, rows),
                        static_cast<int>(rows),
                        args.stops.empty() ? 0 : static_cast<int>(args.stops.count()),
                        static_cast<int>(args.left.count())};
  launch_following(advance_kernel, dim3(blocks_for(rows, kThreads)), dim3(kThreads), context_.stream(), 0,
                   advance);
}

}  // namespace caravan::cuda
