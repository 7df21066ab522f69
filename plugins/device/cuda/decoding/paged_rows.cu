#include <cooperative_groups.h>

#include <algorithm>

#include "plugins/device/cuda/decoding/paged_keys.cuh"
#include "plugins/device/cuda/decoding/paged_narrow_keys.cuh"
#include "plugins/device/cuda/kernels/follow.cuh"
#include "plugins/device/cuda/kernels/launch.hpp"

// Attention of single rows over the pages of their sequences. What it costs is reading keys and values once:
// a key/value head's queries share them. Keys are dealt to warps by their distance from the first one that a
// row sees, and parts are added in a fixed order, so that a row's result does not depend on other rows.
namespace caravan::cuda {
namespace {

namespace groups = cooperative_groups;

/// Keys are dealt to so many parts, and those of a part to the warps of a block. One to kParts blocks of a
/// cluster make the parts of a row, which changes no bit.
constexpr int kParts = 8;
constexpr int kWarps = 4, kThreads = kWarps * static_cast<int>(kWarp);

/// Whether the row stands among enough others of its slot in its tile: rows of one lie together.
__device__ bool goes_with_its_tile(const CachedRows& rows, int row) {
  if (rows.is_padding(row)) return false;
  const int begin = row / kTileRows * kTileRows, end = min(begin + kTileRows, rows.rows);
  int first = row, last = row;
  while (first > begin && rows.slots[first - 1] == rows.slots[row] && last - first + 1 < kTileRuns) --first;
  while (last + 1 < end && rows.slots[last + 1] == rows.slots[row] && last - first + 1 < kTileRuns) ++last;
  return last - first + 1 >= kTileRuns;
}

/// What the warps of a block have seen of each of its parts, and what they have seen together.
template <class Part, int kBlocks>
struct Shared {
  static constexpr int kOwn = kParts / kBlocks;
  Part of_warp[kOwn][kWarps], of_part[kOwn];
};

/// Queries [first_query, + kQueries) of a row's head: the parts of block `block` of a cluster. A tile of keys
/// is of the same warp and part whatever else is in the step.
template <class Keys, int kBlocks>
__device__ void attend(const PagedArgs& args, const KeyRange& range, int first_query, int block,
                       Shared<typename Keys::Part, kBlocks>& shared) {
  constexpr int kOwn = kParts / kBlocks;
  const int warp = static_cast<int>(threadIdx.x / kWarp), width = args.rows.width;
  Keys keys(args, range, first_query);
  for (int own = 0; own < kOwn; ++own) {
    const int part = own * kBlocks + block;
    keys.start();
    keys.attend_all(range.first + (part * kWarps + warp) * Keys::kTile, kParts * kWarps * Keys::kTile);
    keys.put(shared.of_warp[own][warp]);
  }
  __syncthreads();
  const int queries = min(Keys::Part::kQueries, args.queries - first_query), elements = queries * width;
  for (int at = static_cast<int>(threadIdx.x); at < kOwn * elements; at += kThreads) {
    const int own = at / elements, j = at % elements / width, e = at % elements % width;
    const Joined<kWarps> all(
        j, e, [&](int i) -> const auto& { return shared.of_warp[own][i]; });
    auto& part = shared.of_part[own];
    part.sum[j][e] = all.sum;
    if (e == 0) part.most[j] = all.most, part.total[j] = all.total;
  }
}

/// A cluster of blocks: one row and key/value head.
template <class T, class Keys, int kBlocks>
__device__ void attend_row(const PagedArgs& args, int row, int head,
                           Shared<typename Keys::Part, kBlocks>& shared) {
  constexpr int kQueries = Keys::Part::kQueries;
  const groups::cluster_group cluster = groups::this_cluster();
  const int block = static_cast<int>(cluster.block_rank()), width = args.rows.width;
  const bool is_padding = args.rows.is_padding(row);
  for (int first = 0; first < args.queries; first += kQueries) {
    if (!is_padding) attend<Keys, kBlocks>(args, KeyRange(args, row, head), first, block, shared);
    cluster.sync();
    const int queries = min(kQueries, args.queries - first);
    for (int at = static_cast<int>(cluster.thread_rank()); at < queries * width; at += kBlocks * kThreads) {
      const int j = at / width, e = at % width, query = head * args.queries + first + j;
      T& out = static_cast<T*>(args.out)[row * args.out_row + query * args.out_head + e];
      if (is_padding) {
        out = from_float<T>(0);
        continue;
      }
      const Joined<kParts> all(
          j, e, [&](int part) -> const auto& {
            return cluster.map_shared_rank(&shared, part % kBlocks)->of_part[part / kBlocks];
          });
      out = from_float<T>(all.sum / all.total);
    }
    cluster.sync();
  }
}

/// Rows blockIdx.z, + gridDim.z, …, without those that go with their tiles.
template <class T, class Keys, int kBlocks>
__global__ void __cluster_dims__(kBlocks) __launch_bounds__(kThreads, 3) paged_kernel(PagedArgs args) {
  extern __shared__ __align__(16) std::byte memory[];
  auto& shared = *reinterpret_cast<Shared<typename Keys::Part, kBlocks>*>(memory);
  __shared__ unsigned wanted[kWarps];
  let_next_kernel_begin();
  wait_for_kernel_before();
  const auto step = static_cast<int>(gridDim.z), lane = static_cast<int>(threadIdx.x % kWarp);
  for (int begin = static_cast<int>(blockIdx.z); begin < args.rows.rows; begin += step * kThreads) {
    const int candidate = begin + static_cast<int>(threadIdx.x) * step;
    const bool is_wanted =
        candidate < args.rows.rows && !(args.tiles && goes_with_its_tile(args.rows, candidate));
    const unsigned mask = __ballot_sync(kWholeWarp, is_wanted);
    if (lane == 0) wanted[threadIdx.x / kWarp] = mask;
    __syncthreads();
    for (int warp = 0; warp < kWarps; ++warp) {
      for (unsigned left = wanted[warp]; left != 0; left &= left - 1) {
        const int at = warp * static_cast<int>(kWarp) + __ffs(static_cast<int>(left)) - 1;
        attend_row<T, Keys, kBlocks>(args, begin + at * step, static_cast<int>(blockIdx.y), shared);
      }
    }
    __syncthreads();
  }
}

/// With tiles hardly any row is left.
template <class T, class Keys, int kBlocks>
void launch_with_blocks(const PagedArgs& args, cudaStream_t stream) {
  constexpr int kLeft = 64;
  constexpr auto kBytes = static_cast<int>(sizeof(Shared<typename Keys::Part, kBlocks>));
  const auto kernel = paged_kernel<T, Keys, kBlocks>;
  if constexpr (kBytes > 48 << 10)
    CARAVAN_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  const int rows = args.tiles ? std::min(args.rows.rows, kLeft) : args.rows.rows;
  launch_following(kernel,
                   dim3(kBlocks, static_cast<unsigned>(args.rows.kv_heads), static_cast<unsigned>(rows)),
                   dim3(kThreads), stream, kBytes, args);
}

/// As many blocks as keep the multiprocessors busy.
template <class T, class Keys>
void launch(const PagedArgs& args, cudaStream_t stream) {
  constexpr std::int64_t kBusy = 256;
  constexpr int kFewest =
      sizeof(Shared<typename Keys::Part, 1>) <= 100 << 10 ? 1 : 2;  // two on a multiprocessor
  const std::int64_t clusters = std::int64_t{args.rows.rows} * args.rows.kv_heads;
  if (clusters * 4 <= kBusy) return launch_with_blocks<T, Keys, 8>(args, stream);
  if (clusters < kBusy) return launch_with_blocks<T, Keys, 4>(args, stream);
  launch_with_blocks<T, Keys, kFewest>(args, stream);
}

/// As many queries at once as there are; more than four go in several passes.
template <class T, int kLanes, bool kWide>
void launch_for_queries(const PagedArgs& args, cudaStream_t stream) {
  if (args.queries == 1) return launch_with_blocks<T, FloatKeys<T, kLanes, 1, kWide>, 4>(args, stream);
  if (args.queries == 2) return launch_with_blocks<T, FloatKeys<T, kLanes, 2, kWide>, 4>(args, stream);
  launch_with_blocks<T, FloatKeys<T, kLanes, 4, kWide>, 4>(args, stream);
}

template <class T, bool kWide>
void launch_for_width(const PagedArgs& args, cudaStream_t stream) {
  if (args.rows.width <= 32) return launch_for_queries<T, 4, kWide>(args, stream);
  if (args.rows.width <= 64) return launch_for_queries<T, 8, kWide>(args, stream);
  if (args.rows.width <= 128) return launch_for_queries<T, 16, kWide>(args, stream);
  launch_for_queries<T, 32, kWide>(args, stream);
}

template <class T>
void launch_for_type(const PagedArgs& args, cudaStream_t stream) {
  args.wide ? launch_for_width<T, true>(args, stream) : launch_for_width<T, false>(args, stream);
}

template <int kWidth>
void launch_narrow(const PagedArgs& args, cudaStream_t stream) {
  if (args.queries <= 2) return launch<bf16, NarrowKeys<kWidth, 2>>(args, stream);
  if (args.queries <= 4) return launch<bf16, NarrowKeys<kWidth, 4>>(args, stream);
  launch<bf16, NarrowKeys<kWidth, 8>>(args, stream);
}

}  // namespace

void paged_rows(const PagedArgs& args, cudaStream_t stream) {
  if (args.dtype == DType::bf16 && args.wide) {
    if (args.rows.width == 64) return launch_narrow<64>(args, stream);
    if (args.rows.width == 96) return launch_narrow<96>(args, stream);
    if (args.rows.width == 128) return launch_narrow<128>(args, stream);
  }
  with_type(args.dtype, [&]<class T>() { launch_for_type<T>(args, stream); });
}

}  // namespace caravan::cuda
