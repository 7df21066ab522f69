#include <algorithm>

#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/kernels/rows.cuh"

// dtable[id − first_id] += Σ of dout over the tokens with that id, always added in the order of the tokens.
// The tokens are grouped by id with counters, which come out in any order; a token's place in its group is
// then the number of smaller tokens in it, so the sums do not depend on timing. No sort, and nothing is done
// for the words of the vocabulary that do not occur but clearing their counters.
namespace caravan::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
/// Tokens that one warp adds up on its own; the whole block shares what has more.
constexpr int kFewTokens = 32;

struct Tokens {
  const std::int32_t* ids;
  int count;
  std::int64_t vocabulary, first_id;

  /// Of the table; −1: another rank has it.
  __device__ std::int32_t row(int t) const {
    const std::int64_t row = ids[t] - first_id;
    return row >= 0 && row < vocabulary ? static_cast<std::int32_t>(row) : -1;
  }
};

/// Scratch of one call.
struct Groups {
  std::int32_t* counts;   ///< [vocabulary] tokens of each row of the table
  std::int32_t* starts;   ///< [vocabulary] where a group begins in members, for rows that occur
  std::int32_t* totals;   ///< [2] groups and members so far
  std::int32_t* arrival;  ///< [tokens] number of a token in its group, in any order; −1: no row
  std::int32_t* rows;     ///< [tokens] row of the table of each group
  std::int32_t* members;  ///< [tokens] tokens by group, in any order
  std::int32_t* ordered;  ///< [tokens] tokens by group, rising
};

__global__ void __launch_bounds__(kThreads) count_kernel(Tokens tokens, Groups g) {
  const int t = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (t >= tokens.count) return;
  const std::int32_t row = tokens.row(t);
  g.arrival[t] = row >= 0 ? atomicAdd(g.counts + row, 1) : -1;
}

/// The token that arrived first gives its group a place.
__global__ void __launch_bounds__(kThreads) place_groups_kernel(Tokens tokens, Groups g) {
  const int t = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (t >= tokens.count || g.arrival[t] != 0) return;
  const std::int32_t row = tokens.row(t);
  g.starts[row] = atomicAdd(g.totals + 1, g.counts[row]);
  g.rows[atomicAdd(g.totals, 1)] = row;
}

__global__ void __launch_bounds__(kThreads) place_members_kernel(Tokens tokens, Groups g) {
  const int t = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (t < tokens.count && g.arrival[t] >= 0) g.members[g.starts[tokens.row(t)] + g.arrival[t]] = t;
}

__global__ void __launch_bounds__(kThreads) order_members_kernel(Tokens tokens, Groups g) {
  const int t = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (t >= tokens.count || g.arrival[t] < 0) return;
  const std::int32_t row = tokens.row(t), start = g.starts[row], count = g.counts[row];
  int rank = 0;
#pragma unroll 4
  for (int i = 0; i < count; ++i) rank += g.members[start + i] < t ? 1 : 0;
  g.ordered[start + rank] = t;
}

/// Σ dout over members first, first + step, … of a group, for N columns.
template <int N, class T>
__device__ Floats<N> sum_of_members(const Rows<T>& dout, const std::int32_t* members, int count, int first,
                                    int step, std::int64_t column) {
  Floats<N> total{};
#pragma unroll 4
  for (int i = first; i < count; i += step) {
    const Floats<N> row = load<N>(dout.at(members[i], column));
#pragma unroll
    for (int k = 0; k < N; ++k) total[k] += row[k];
  }
  return total;
}

template <int N>
__device__ void add_to(float* to, const Floats<N>& values) {
  Floats<N> sum = load<N>(to);
#pragma unroll
  for (int k = 0; k < N; ++k) sum[k] += values[k];
  store(to, sum);
}

/// A group a warp, 32·N columns; then the block's large groups one after the other.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    add_kernel(Rows<T> dout, Rows<float> dtable, int width, Groups g) {
  __shared__ Floats<N> parts[kWarps][kWarp];
  const int groups = g.totals[0], first_group = static_cast<int>(blockIdx.x) * kWarps;
  const int warp = static_cast<int>(threadIdx.x / kWarp), lane = static_cast<int>(threadIdx.x % kWarp);
  const int column = static_cast<int>(blockIdx.y * kWarp + lane) * N;
  const bool inside = column < width;
  if (first_group + warp < groups && inside) {
    const std::int32_t row = g.rows[first_group + warp], count = g.counts[row];
    if (count <= kFewTokens) {
      add_to(dtable.at(row, column), sum_of_members<N>(dout, g.ordered + g.starts[row], count, 0, 1, column));
    }
  }
  for (int group = first_group; group < first_group + kWarps && group < groups; ++group) {
    const std::int32_t row = g.rows[group], count = g.counts[row];
    if (count <= kFewTokens) continue;
    __syncthreads();
    if (inside) {
      parts[warp][lane] = sum_of_members<N>(dout, g.ordered + g.starts[row], count, warp, kWarps, column);
    }
    __syncthreads();
    if (warp != 0 || !inside) continue;
    Floats<N> total = parts[0][lane];
    for (int other = 1; other < kWarps; ++other) {
#pragma unroll
      for (int k = 0; k < N; ++k) total[k] += parts[other][lane][k];
    }
    add_to(dtable.at(row, column), total);
  }
}

Groups groups_in(Workspace& workspace, std::size_t vocabulary, std::size_t tokens) {
  workspace.begin((2 * vocabulary + 4 * tokens + 2) * sizeof(std::int32_t), 7);
  const auto take = [&](std::size_t count) { return workspace.take<std::int32_t>(count); };
  return {take(vocabulary), take(vocabulary), take(2),     take(tokens),
          take(tokens),     take(tokens),     take(tokens)};
}

}  // namespace

void CudaOps::embedding_backward_weight(const EmbeddingBackwardWeight& args) {
  const Call call("embedding_backward_weight");
  const DType type = call.compute_type("dout", args.dout);
  const Matrix dtable = call.matrix("dtable", args.dtable, DType::f32, kAny, kAny);
  const Matrix dout = call.matrix("dout", args.dout, type, kAny, dtable.columns);
  const std::int32_t* ids = call.indices("ids", args.ids, dout.rows);
  if (dout.rows == 0 || dout.columns == 0 || dtable.rows == 0) return;
  const auto vocabulary = static_cast<std::size_t>(dtable.rows);
  const Tokens tokens{ids, static_cast<int>(dout.rows), dtable.rows, args.first_id};
  const cudaStream_t stream = context_.stream();
  const Groups groups = groups_in(context_.workspace(), vocabulary, static_cast<std::size_t>(dout.rows));
  CARAVAN_CUDA_CHECK(cudaMemsetAsync(groups.counts, 0, vocabulary * sizeof(std::int32_t), stream));
  CARAVAN_CUDA_CHECK(cudaMemsetAsync(groups.totals, 0, 2 * sizeof(std::int32_t), stream));
  for (auto* kernel : {count_kernel, place_groups_kernel, place_members_kernel, order_members_kernel}) {
    kernel<<<blocks_for(dout.rows, kThreads), kThreads, 0, stream>>>(tokens, groups);
    CARAVAN_CUDA_LAUNCHED();
  }
  with_type_and_step(type, rows_of_16_bytes({dout, dtable}), [&]<class T, int N>() {
    const dim3 grid(blocks_for(std::min(dout.rows, dtable.rows), kWarps),
                    blocks_for(dout.columns, kWarp * N));
    add_kernel<T, N><<<grid, kThreads, 0, stream>>>(Rows<T>(dout), Rows<float>(dtable),
                                                    static_cast<int>(dout.columns), groups);
    CARAVAN_CUDA_LAUNCHED();
  });
}

}  // namespace caravan::cuda
