#include "plugins/device/cuda/decoding/prompt_rows.cuh"
#include "plugins/device/cuda/decoding/prompt_tiles.cuh"
#include "plugins/device/cuda/kernels/follow.cuh"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/kernels/tensor_map.hpp"

// Attention of neighbouring rows of a sequence, such as a piece of a prompt, on the tensor cores.
namespace caravan::cuda {
namespace {

constexpr int kThreads = 128 * (kRowGroups + 1);  ///< those that multiply, and the one that fetches
constexpr int kFetcherRegisters = 40, kMultiplierRegisters = 232;

/// A tile of rows and a head a block, the last rows of the step first: they see the most keys.
template <int kSlabs>
__global__ void __launch_bounds__(kThreads, 1)
    tiles_kernel(PagedArgs args, const __grid_constant__ PromptMaps maps) {
  extern __shared__ std::byte shared[];
  __shared__ unsigned begins[kTileRows / 32];
  const PromptMemory<kSlabs> memory(shared);
  let_next_kernel_begin();
  if (threadIdx.x == 0) memory.init_barriers();
  wait_for_kernel_before();
  const int head = static_cast<int>(blockIdx.x),
            tile = static_cast<int>(gridDim.y - 1 - blockIdx.y) * kTileRows;
  const TileRuns runs(args, tile, begins);
  if (!runs.has_any()) return;
  unsigned tiles = 0;
  if (threadIdx.x >= 128 * kRowGroups) {
    hopper::give_registers<kFetcherRegisters>();
    if (threadIdx.x >= 128 * kRowGroups + kWarp) return;
    if (threadIdx.x % kWarp == 0) fetch_queries(maps, memory, tile, head);
    __syncwarp();
    runs.for_each([&](const RowRun& run) { fetch_run(args, maps, memory, run, head / args.queries, tiles); });
  } else {
    hopper::take_registers<kMultiplierRegisters>();
    hopper::wait(memory.queries_full(), 0);
    runs.for_each([&](const RowRun& run) { attend(args, memory, run, tile, head, tiles); });
  }
}

PromptMaps maps_of(const PagedArgs& args, const TensorMaps& maps) {
  const CachedRows& rows = args.rows;
  const auto cache = [&](const void* data) {
    return MappedTensor{const_cast<void*>(data),
                        DType::bf16,
                        rows.width,
                        std::int64_t{rows.cache_pages} * rows.page,
                        rows.kv_heads,
                        std::int64_t{rows.kv_heads} * rows.width,
                        rows.width};
  };
  const MappedTensor q{
      const_cast<void*>(args.q), DType::bf16, rows.width, rows.rows, args.heads, args.q_row, args.q_head};
  return {maps.boxes(q, 64, 64), maps.boxes(cache(args.keys), 64, kBoxKeys),
          maps.boxes(cache(args.values), 64, kBoxKeys)};
}

template <int kSlabs>
void launch(const PagedArgs& args, Context& context) {
  constexpr int kBytes = PromptMemory<kSlabs>::kBytes;
  CARAVAN_CUDA_CHECK(
      cudaFuncSetAttribute(tiles_kernel<kSlabs>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  const dim3 grid(static_cast<unsigned>(args.heads), blocks_for(args.rows.rows, kTileRows));
  launch_following(tiles_kernel<kSlabs>, grid, dim3(kThreads), context.stream(), kBytes, args,
                   maps_of(args, context.keep<TensorMaps>()));
}

/// Boxes of keys lie in one page, and a chunk and a ring begin with one.
bool goes_by_boxes(const PagedArgs& args) {
  return args.rows.page % kBoxKeys == 0 && args.rows.ring % kBoxKeys == 0 && args.chunk % kBoxKeys == 0 &&
         std::int64_t{args.rows.cache_pages} * args.rows.page <= std::numeric_limits<int>::max() - kBoxKeys;
}

bool stores_pairs(const PagedArgs& args) {
  return reinterpret_cast<std::uintptr_t>(args.out) % 4 == 0 && args.out_row % 2 == 0 &&
         args.out_head % 2 == 0;
}

}  // namespace

bool serves_tiles(const PagedArgs& args) {
  return args.dtype == DType::bf16 && args.wide && args.rows.width <= 128 && args.rows.rows >= kTileRuns &&
         args.scale > 0 && goes_by_boxes(args) && stores_pairs(args);
}

void paged_tiles(const PagedArgs& args, Context& context) {
  args.rows.width <= 64 ? launch<1>(args, context) : launch<2>(args, context);
}

}  // namespace caravan::cuda
