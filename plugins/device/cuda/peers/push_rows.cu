#include <string>

#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/device/view.hpp"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/kernels/vec.cuh"

// Rows to the memory of other GPUs. A warp moves a row, with four accesses of each lane under way; a few
// blocks are enough for the links (eight wrote 330 GB/s), and leave the other multiprocessors to products.
namespace caravan::cuda {
namespace {

constexpr int kMostRanks = 64;
constexpr int kWarps = 16, kThreads = kWarps * static_cast<int>(kWarp);
constexpr int kMostBlocks = 32;  ///< of 16 warps: two fit on a multiprocessor
constexpr int kSteps = 4;

struct Push {
  const std::int32_t *choice_of, *to_rank, *to_row;
  const float* weights;
  std::int64_t weights_stride;
  int rows, top_k, ranks, region_rows;
  std::byte* regions[kMostRanks];
};

/// Where row r comes from and goes; `to` is null where it goes nowhere.
struct Way {
  int source = 0, k = 0, rank = -1, row = 0;
};

__device__ Way way_of(const Push& push, int r) {
  Way way;
  const int choice = push.choice_of ? push.choice_of[r] : r;
  if (choice < 0) return way;
  way.source = choice / push.top_k;
  way.k = choice - way.source * push.top_k;
  way.rank = push.to_rank[r];
  way.row = push.to_row[r];
  // Nothing is written beside the regions, whatever a device that has failed computes.
  if (way.rank >= push.ranks || way.row < 0 || way.row >= push.region_rows) way.rank = -1;
  return way;
}

/// `words` of 16 bytes, or of 4 where rows are no multiple of 16 bytes.
template <class Word>
__global__ void __launch_bounds__(kThreads)
    push_kernel(Push push, const Word* rows, std::int64_t stride, int words) {
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const int first = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x / kWarp);
  for (int r = first; r < push.rows; r += static_cast<int>(gridDim.x) * kWarps) {
    const Way way = way_of(push, r);
    if (way.rank < 0) continue;
    const Word* from = rows + way.source * stride;
    Word* to = reinterpret_cast<Word*>(push.regions[way.rank]) + static_cast<std::int64_t>(way.row) * words;
    for (int begin = lane; begin < words; begin += kSteps * static_cast<int>(kWarp)) {
      Word moved[kSteps];
#pragma unroll
      for (int i = 0; i < kSteps; ++i) moved[i] = from[min(begin + i * static_cast<int>(kWarp), words - 1)];
#pragma unroll
      for (int i = 0; i < kSteps; ++i)
        if (begin + i * static_cast<int>(kWarp) < words) to[begin + i * static_cast<int>(kWarp)] = moved[i];
    }
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    weighted_kernel(Push push, const T* rows, std::int64_t stride, int columns) {
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const int first = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x / kWarp);
  for (int r = first; r < push.rows; r += static_cast<int>(gridDim.x) * kWarps) {
    const Way way = way_of(push, r);
    if (way.rank < 0) continue;
    const T* from = rows + way.source * stride;
    T* to = reinterpret_cast<T*>(push.regions[way.rank]) + static_cast<std::int64_t>(way.row) * columns;
    const float weight = push.weights[way.source * push.weights_stride + way.k];
    for (int column = lane * N; column < columns; column += static_cast<int>(kWarp) * N) {
      Floats<N> values = load<N>(from + column);
#pragma unroll
      for (int j = 0; j < N; ++j) values[j] *= weight;
      store<N>(to + column, values);
    }
  }
}

/// The largest of 16, 4, 2 and 1 bytes that rows, and those of every region, begin on and are a multiple of.
int common_access(const PushRows& args, std::int64_t row_bytes, std::int64_t stride_bytes) {
  std::uintptr_t all = reinterpret_cast<std::uintptr_t>(args.rows.data) |
                       static_cast<std::uintptr_t>(row_bytes) | static_cast<std::uintptr_t>(stride_bytes);
  for (std::byte* region : args.regions) all |= reinterpret_cast<std::uintptr_t>(region);
  for (const int bytes : {16, 4, 2})
    if (all % static_cast<std::uintptr_t>(bytes) == 0) return bytes;
  return 1;
}

template <class T>
void push_weighted(const Context& context, const Push& push, const PushRows& args, unsigned blocks) {
  constexpr auto kElement = static_cast<std::int64_t>(sizeof(T));
  const bool wide = common_access(args, args.rows.extent(1) * kElement, args.rows.stride(0) * kElement) == 16;
  const auto columns = static_cast<int>(args.rows.extent(1));
  const T* rows = args.rows.as<T>();
  constexpr int kWide = 16 / sizeof(T);
  if (wide)
    weighted_kernel<T, kWide>
        <<<blocks, kThreads, 0, context.stream()>>>(push, rows, args.rows.stride(0), columns);
  else
    weighted_kernel<T, 1>
        <<<blocks, kThreads, 0, context.stream()>>>(push, rows, args.rows.stride(0), columns);
}

template <class Word>
void push_words(const Context& context, const Push& push, const PushRows& args, std::int64_t row_bytes,
                std::int64_t stride_bytes, unsigned blocks) {
  constexpr std::int64_t kBytes = sizeof(Word);
  push_kernel<Word><<<blocks, kThreads, 0, context.stream()>>>(
      push, args.rows.as<Word>(), stride_bytes / kBytes, static_cast<int>(row_bytes / kBytes));
}

void push_as_they_are(const Context& context, const Push& push, const PushRows& args, unsigned blocks) {
  const auto element = static_cast<std::int64_t>(size_of(args.rows.dtype));
  const std::int64_t row_bytes = args.rows.extent(1) * element, stride_bytes = args.rows.stride(0) * element;
  switch (common_access(args, row_bytes, stride_bytes)) {
    case 16:
      return push_words<uint4>(context, push, args, row_bytes, stride_bytes, blocks);
    case 4:
      return push_words<std::uint32_t>(context, push, args, row_bytes, stride_bytes, blocks);
    case 2:
      return push_words<std::uint16_t>(context, push, args, row_bytes, stride_bytes, blocks);
    default:
      return push_words<std::uint8_t>(context, push, args, row_bytes, stride_bytes, blocks);
  }
}

/// What kernels take, checked.
Push push_of(const Call& call, const PushRows& args, const Matrix& weights) {
  const std::int64_t pushed = args.to_rank.count();
  if (args.regions.size() > kMostRanks)
    call.fail("rows to " + std::to_string(args.regions.size()) + " ranks (at most " +
              std::to_string(kMostRanks) + ")");
  Push push{args.choice_of.empty() ? nullptr : call.indices("choice_of", args.choice_of, pushed),
            call.indices("to_rank", args.to_rank, pushed),
            call.indices("to_row", args.to_row, pushed),
            weights.as<float>(),
            weights.stride,
            static_cast<int>(pushed),
            static_cast<int>(args.top_k),
            static_cast<int>(args.regions.size()),
            static_cast<int>(args.region_rows),
            {}};
  for (std::size_t rank = 0; rank < args.regions.size(); ++rank) push.regions[rank] = args.regions[rank];
  return push;
}

}  // namespace

void CudaOps::push_rows(const PushRows& args) {
  const Call call("push_rows");
  call.check("rows", args.rows, {args.rows.dtype, 2, {kAny, kAny}});
  const std::int64_t pushed = args.to_rank.count();
  if (pushed == 0) return;
  const Matrix weights =
      call.optional_matrix("weights", args.weights, DType::f32, args.rows.extent(0), args.top_k);
  const Push push = push_of(call, args, weights);
  const unsigned blocks = blocks_for(pushed, kWarps, kMostBlocks);
  if (!weights)
    push_as_they_are(context_, push, args, blocks);
  else if (call.compute_type("rows", args.rows) == DType::bf16)
    push_weighted<__nv_bfloat16>(context_, push, args, blocks);
  else
    push_weighted<float>(context_, push, args, blocks);
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace caravan::cuda
