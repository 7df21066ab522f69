#include "plugins/device/cuda/comm/meeting.cuh"
#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/device/view.hpp"
#include "plugins/device/cuda/kernels/launch.hpp"

namespace caravan::cuda {
namespace {

constexpr int kThreads = 256;
/// Rows are hardly ever lost; a kernel that waits for other ranks holds few multiprocessors.
constexpr int kMostBlocks = 16;

/// A number of all ones is a NaN of either type.
__global__ void __launch_bounds__(kThreads)
    mark_kernel(std::uint16_t* rows, std::int64_t count, std::int64_t columns, std::int64_t stride,
                const std::int32_t* lost, Meeting meeting) {
  wait_for_all(meeting);
  if (*lost == 0) return;
  const std::int64_t step = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; at < count; at += step)
    rows[at / columns * stride + at % columns] = 0xffff;
}

}  // namespace

void CudaOps::mark_lost(const MarkLost& args) {
  const Call call("mark_lost");
  const DType type = call.compute_type("rows", args.rows);
  const Matrix rows = call.matrix("rows", args.rows, type, kAny, kAny);
  const auto halves = static_cast<std::int64_t>(size_of(type) / sizeof(std::uint16_t));
  const std::int64_t columns = rows.columns * halves, count = rows.rows * columns;
  if (count == 0 && !args.waits_for) return;
  mark_kernel<<<blocks_for(count, kThreads, kMostBlocks), kThreads, 0, context_.stream()>>>(
      rows.as<std::uint16_t>(), count, columns, rows.stride * halves, call.indices("lost", args.lost, 1),
      meeting_of(args.waits_for));
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace caravan::cuda
