#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/device/view.hpp"
#include "plugins/device/cuda/kernels/dtype.cuh"
#include "plugins/device/cuda/kernels/launch.hpp"

namespace caravan::cuda {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kPerBlock = 4 * kThreads;

/// Logits that decide, and whether anything may change; null: it may.
struct Deciding {
  const float* largest;
  const float* proceed;
  double limit;
  std::int64_t group;  ///< query heads that read one key head
  bool of_keys;

  __device__ double least_factor(std::int64_t first, std::int64_t count) const {
    double factor = 1;
    for (std::int64_t h = first; h < first + count; ++h)
      if (largest[h] > limit) factor = fmin(factor, limit / largest[h]);
    return factor;
  }
  /// What the rows of a head are multiplied by.
  __device__ double factor(std::int64_t head) const {
    if (proceed != nullptr && isnan(*proceed)) return 1;
    const double of_group = sqrt(least_factor(of_keys ? head * group : head / group * group, group));
    return of_keys ? of_group : least_factor(head, 1) / of_group;
  }
};

template <class W>
struct HeadRowsToClip {
  float* master;
  W* weight;  ///< or null
  std::int64_t first, count, head_elements;
};

/// A block has elements of one head: where that is not clipped it is gone at once.
template <class W>
__global__ void __launch_bounds__(kThreads)
    clip_heads_kernel(Deciding by, HeadRowsToClip<W> rows, std::int64_t blocks_per_head) {
  const std::int64_t head = rows.first / rows.head_elements + blockIdx.x / blocks_per_head;
  const double factor = by.factor(head);
  if (factor == 1) return;
  const std::int64_t begin = (blockIdx.x % blocks_per_head) * kPerBlock,
                     end = min(begin + kPerBlock, rows.head_elements);
  for (std::int64_t at = begin + threadIdx.x; at < end; at += kThreads) {
    const std::int64_t i = head * rows.head_elements + at - rows.first;
    if (i < 0 || i >= rows.count) continue;
    rows.master[i] = static_cast<float>(factor * rows.master[i]);
    if (rows.weight != nullptr) rows.weight[i] = from_float<W>(rows.master[i]);
  }
}

}  // namespace

void CudaOps::clip_heads(const ClipHeads& args) {
  const Call call("clip_heads");
  const Matrix master = call.flat("master", args.master, DType::f32, kAny);
  const DType type = args.weight.empty() ? DType::f32 : call.compute_type("weight", args.weight);
  const Matrix weight =
      args.weight.empty() ? Matrix{} : call.flat("weight", args.weight, type, master.columns);
  if (const std::string problem = problem_with(args); !problem.empty()) call.fail(problem);
  const std::int64_t queries = args.largest.extent(0), count = master.columns;
  const Deciding by{call.floats("largest", args.largest, queries),
                    call.optional_floats("proceed", args.proceed, 1), args.limit, queries / args.kv_heads,
                    args.of == ClipHeads::Of::keys};
  if (count == 0) return;
  const std::int64_t blocks_per_head = ceil_div(args.head_elements, kPerBlock);
  const std::int64_t heads =
      (args.first + count - 1) / args.head_elements - args.first / args.head_elements + 1;
  with_type(type, [&]<class W>() {
    clip_heads_kernel<W><<<blocks_for(heads * blocks_per_head, 1), kThreads, 0, context_.stream()>>>(
        by, {master.as<float>(), weight.as<W>(), args.first, count, args.head_elements}, blocks_per_head);
    CARAVAN_CUDA_LAUNCHED();
  });
}

}  // namespace caravan::cuda
