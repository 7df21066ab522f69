#include <cooperative_groups.h>

#include <algorithm>

#include "plugins/device/cuda/decoding/paged_keys.cuh"
#include "plugins/device/cuda/kernels/follow.cuh"
#include "plugins/device/cuda/kernels/launch.hpp"

// Attention of single rows over the pages of their sequences. What it costs is reading keys and values once:
// a key/value head's queries share them. Keys are dealt to warps by their distance from the first one that a
// row sees, and parts are added in a fixed order, so that a row's result does not depend on other rows.
namespace caravan::cuda {
namespace {

namespace groups = cooperative_groups;

/// Whether the row stands among enough others of its slot in its tile: rows of one lie together.
__device__ bool goes_with_its_tile(const CachedRows& rows, int row) {
  if (rows.is_padding(row)) return false;
  const int begin = row / kTileRows * kTileRows, end = min(begin + kTileRows, rows.rows);
  int first = row, last = row;
  while (first > begin && rows.slots[first - 1] == rows.slots[row] && last - first + 1 < kTileRuns) --first;
  while (last + 1 < end && rows.slots[last + 1] == rows.slots[row] && last - first + 1 < kTileRuns) ++last;
  return last - first + 1 >= kTileRuns;
}

template <int kBlocks, int kQueries>
struct Shared {
  static constexpr int kOfBlock = kParts / kBlocks;
  Parts<kQueries> of_warp[kWarps], of_part[kOfBlock];
};

/// The parts of this block: those of its warps together.
template <class T, int kBlocks, int kLanes, int kQueries, bool kWide>
__device__ void attend_parts(const Args<T>& args, int row, int head, int first_query, int block,
                             Shared<kBlocks, kQueries>& shared) {
  using RowKeys = Keys<T, kLanes, kQueries, kWide>;
  const int warp = static_cast<int>(threadIdx.x / kWarp), width = args.rows.width;
  RowKeys keys(args, row, head, first_query);
  for (int own = 0; own < Shared<kBlocks, kQueries>::kOfBlock; ++own) {
    constexpr int kOfAll = kParts * kWarps * RowKeys::kStep;
    const int part = own * kBlocks + block, first = (part * kWarps + warp) * RowKeys::kStep;
    keys.start();
    for (std::int64_t at = keys.first + first; at < keys.end; at += kOfAll) keys.attend(at);
    keys.join_lanes();
    keys.put(shared.of_warp[warp]);
    __syncthreads();
    Parts<kQueries>& to = shared.of_part[own];
    for (int at = static_cast<int>(threadIdx.x); at < kQueries * width; at += kThreads) {
      const int j = at / width, e = at % width;
      const Joined<kWarps> all(j, e, [&](int i) -> const Parts<kQueries>& { return shared.of_warp[i]; });
      to.sum[j][e] = all.sum;
      if (e == 0) to.most[j] = all.most, to.total[j] = all.total;
    }
    __syncthreads();
  }
}

/// A cluster of blocks: one row and key/value head.
template <class T, int kBlocks, int kLanes, int kQueries, bool kWide>
__device__ void attend_row(const Args<T>& args, int row, int head, Shared<kBlocks, kQueries>& shared) {
  const groups::cluster_group cluster = groups::this_cluster();
  const int block = static_cast<int>(cluster.block_rank()), width = args.rows.width;
  const int share = static_cast<int>(cluster.thread_rank());
  const bool is_padding = args.rows.is_padding(row);
  for (int first = 0; first < args.queries; first += kQueries) {
    if (!is_padding) attend_parts<T, kBlocks, kLanes, kQueries, kWide>(args, row, head, first, block, shared);
    cluster.sync();
    for (int at = share; at < kQueries * width; at += kBlocks * kThreads) {
      const int j = at / width, e = at % width, query = first + j;
      if (query >= args.queries) continue;
      T& out =
          static_cast<T*>(args.out)[row * args.out_row + (head * args.queries + query) * args.out_head + e];
      if (is_padding) {
        out = from_float<T>(0);
        continue;
      }
      const Joined<kParts> all(j, e, [&](int part) -> const Parts<kQueries>& {
        return cluster.map_shared_rank(&shared, part % kBlocks)->of_part[part / kBlocks];
      });
      out = from_float<T>(all.sum / all.total);
    }
    cluster.sync();
  }
}

/// Rows blockIdx.z, + gridDim.z, …, without those that go with their tiles.
template <class T, int kBlocks, int kLanes, int kQueries, bool kWide>
__global__ void __cluster_dims__(kBlocks) __launch_bounds__(kThreads) paged_kernel(Args<T> args) {
  extern __shared__ __align__(16) std::byte memory[];
  auto& shared = *reinterpret_cast<Shared<kBlocks, kQueries>*>(memory);
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
    for (int at = 0; at < kThreads; ++at) {
      if (wanted[at / kWarp] == 0) at |= static_cast<int>(kWarp) - 1;
      if ((wanted[at / kWarp] >> (at % kWarp) & 1) == 0) continue;
      attend_row<T, kBlocks, kLanes, kQueries, kWide>(args, begin + at * step, static_cast<int>(blockIdx.y),
                                                      shared);
    }
    __syncthreads();
  }
}

/// With tiles hardly any row is left.
template <class T, int kBlocks, int kLanes, int kQueries, bool kWide>
void launch(const Args<T>& args, cudaStream_t stream) {
  constexpr int kLeft = 64;
  constexpr auto kBytes = static_cast<int>(sizeof(Shared<kBlocks, kQueries>));
  const auto kernel = paged_kernel<T, kBlocks, kLanes, kQueries, kWide>;
  if constexpr (kBytes > 48 << 10)
    CARAVAN_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  const int rows = args.tiles ? std::min(args.rows.rows, kLeft) : args.rows.rows;
  launch_following(kernel,
                   dim3(kBlocks, static_cast<unsigned>(args.rows.kv_heads), static_cast<unsigned>(rows)),
                   dim3(kThreads), stream, kBytes, args);
}

/// As many blocks as keep the multiprocessors busy.
template <class T, int kLanes, int kQueries, bool kWide>
void launch_for_rows(const Args<T>& args, cudaStream_t stream) {
  constexpr std::int64_t kBusy = 128;
  const std::int64_t clusters = std::int64_t{args.rows.rows} * args.rows.kv_heads;
  if (clusters * 4 <= kBusy) return launch<T, 8, kLanes, kQueries, kWide>(args, stream);
  if (clusters <= kBusy) return launch<T, 4, kLanes, kQueries, kWide>(args, stream);
  launch<T, 1, kLanes, kQueries, kWide>(args, stream);
}

/// As many queries at once as there are; more than four go in several passes.
template <class T, int kLanes, bool kWide>
void launch_for_queries(const Args<T>& args, cudaStream_t stream) {
  if (args.queries == 1) return launch_for_rows<T, kLanes, 1, kWide>(args, stream);
  if (args.queries == 2) return launch_for_rows<T, kLanes, 2, kWide>(args, stream);
  launch_for_rows<T, kLanes, 4, kWide>(args, stream);
}

template <class T, bool kWide>
void launch_for_width(const Args<T>& args, cudaStream_t stream) {
  if (args.rows.width <= 32) return launch_for_queries<T, 4, kWide>(args, stream);
  if (args.rows.width <= 64) return launch_for_queries<T, 8, kWide>(args, stream);
  if (args.rows.width <= 128) return launch_for_queries<T, 16, kWide>(args, stream);
  launch_for_queries<T, 32, kWide>(args, stream);
}

template <class T>
void launch_for_type(const PagedArgs& args, cudaStream_t stream) {
  const Args<T> typed{args};
  args.wide ? launch_for_width<T, true>(typed, stream) : launch_for_width<T, false>(typed, stream);
}

}  // namespace

void paged_rows(const PagedArgs& args, cudaStream_t stream) {
  with_type(args.dtype, [&]<class T>() { launch_for_type<T>(args, stream); });
}

}  // namespace caravan::cuda
