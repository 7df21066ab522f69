#include "plugins/device/cuda/attention/attention_mask.cuh"
#include "plugins/device/cuda/attention/attention_tile.cuh"
#include "plugins/device/cuda/kernels/launch.hpp"

// out = softmax(scale·q·kᵀ + mask)·v for any mask and head width: a block has a tile of queries of one head
// and walks the tiles of keys that they may see, with the running maximum and sum of every query (online
// softmax). Source: Milakov and Gimelshein 2018; Dao et al. 2022.
namespace caravan::cuda {
namespace {

/// One thread's part of a tile of N queries: rows ty + 16r.
template <int N, int D>
struct QueryState {
  static constexpr int kRows = N / kSide;
  float maximum[kRows], total[kRows];
  float4 out[kRows][D / 64];
  KeyRange keys[kRows];
  std::int32_t document[kRows];

  __device__ void begin(const AttentionArgs& a, const Documents& documents, int first_query) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int query = min(first_query + static_cast<int>(threadIdx.x) / kSide + kSide * r, a.queries - 1);
      maximum[r] = -INFINITY, total[r] = 0;
      keys[r] = keys_of(a, query);
      document[r] = documents ? documents.queries[query] : 0;
      for (float4& part : out[r]) part = {0, 0, 0, 0};
    }
  }
  __device__ bool sees(int r, int key, const Documents& documents) const {
    return key >= keys[r].first && key <= keys[r].last && (!documents || documents.keys[key] == document[r]);
  }
  /// Scores of N keys from `first_key` on become probabilities under the new maximum.
  __device__ void follow(const AttentionArgs& a, const Documents& documents, int first_key,
                         float (&scores)[kRows][kRows]);
};

__device__ float largest_of_row(float value) {
  for (int lanes = kSide / 2; lanes > 0; lanes /= 2) value = fmaxf(value, __shfl_xor_sync(~0u, value, lanes));
  return value;
}
__device__ float sum_of_row(float value) {
  for (int lanes = kSide / 2; lanes > 0; lanes /= 2) value += __shfl_xor_sync(~0u, value, lanes);
  return value;
}

template <int N, int D>
__device__ void QueryState<N, D>::follow(const AttentionArgs& a, const Documents& documents, int first_key,
                                         float (&scores)[kRows][kRows]) {
  const int tx = static_cast<int>(threadIdx.x) % kSide;
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    float largest = -INFINITY;
#pragma unroll
    for (int c = 0; c < kRows; ++c) {
      const bool seen = sees(r, first_key + tx * kRows + c, documents);
      scores[r][c] = seen ? scores[r][c] * a.scale : -INFINITY;
      largest = fmaxf(largest, scores[r][c]);
    }
    largest = fmaxf(maximum[r], largest_of_row(largest));
    // No key so far: any finite maximum will do, all terms are 0.
    const float shift = largest == -INFINITY ? 0 : largest;
    const float shrink = expf(maximum[r] - shift);
    float sum = 0;
#pragma unroll
    for (int c = 0; c < kRows; ++c) sum += scores[r][c] = expf(scores[r][c] - shift);
    total[r] = total[r] * shrink + sum_of_row(sum);
    maximum[r] = largest;
#pragma unroll
    for (float4& part : out[r]) part.x *= shrink, part.y *= shrink, part.z *= shrink, part.w *= shrink;
  }
}

/// Multiplies the thread's probabilities by their dropout factors.
template <int R>
__device__ void drop(const AttentionArgs& a, int query, int key, float (&probabilities)[R][R]) {
  const int head = static_cast<int>(blockIdx.y), b = static_cast<int>(blockIdx.z);
#pragma unroll
  for (int r = 0; r < R; ++r) {
#pragma unroll
    for (int c = 0; c < R; ++c) {
      if (probabilities[r][c] > 0) probabilities[r][c] *= kept(a, b, head, query + kSide * r, key + c);
    }
  }
}

/// Of a query: lse becomes that of these keys and of those that are there. What its sums are multiplied by,
/// and what is there.
__device__ float2 merge(float maximum, float total, bool adds, float& lse) {
  const float own = total > 0 ? maximum + logf(total) : -INFINITY, others = adds ? lse : -INFINITY;
  const float largest = fmaxf(own, others);
  if (largest == -INFINITY) return lse = -INFINITY, make_float2(0, 0);
  lse = others == -INFINITY ? own : largest + logf(expf(own - largest) + expf(others - largest));
  return {total > 0 ? expf(own - lse) / total : 0, expf(others - lse)};
}

template <int N, int D, class T>
__device__ void store_queries(const AttentionArgs& a, const QueryState<N, D>& state, int first_query) {
  const int head = static_cast<int>(blockIdx.y), b = static_cast<int>(blockIdx.z);
  const int tx = static_cast<int>(threadIdx.x) % kSide, ty = static_cast<int>(threadIdx.x) / kSide;
  for (int r = 0; r < N / kSide; ++r) {
    const int query = first_query + ty + kSide * r;
    if (query >= a.queries) return;
    float* at_lse = a.lse + b * a.lse_batch + head * a.lse_head + query;
    float lse = a.adds ? *at_lse : 0;
    const float2 shares = merge(state.maximum[r], state.total[r], a.adds, lse);
    T* row = writable_row_at<T>(a.out, b, query, head);
#pragma unroll
    for (int c = 0; c < D / 64; ++c) {
      const float4 sum = state.out[r][c];
      float4 all = {sum.x * shares.x, sum.y * shares.x, sum.z * shares.x, sum.w * shares.x};
      if (a.adds) all = plus(all, load_four(row, 4 * tx + 64 * c, a.width, a.vectors), shares.y);
      store_four(row, 4 * tx + 64 * c, a.width, all);
    }
    __syncwarp(0xffffu << (threadIdx.x & kSide));  // the other threads of the row have read it
    if (tx == 0) *at_lse = lse;
  }
}

template <class T, int D, int N>
__global__ void __launch_bounds__(kThreads)
    attention_forward_kernel(const __grid_constant__ AttentionArgs a) {
  extern __shared__ float4 shared[];
  float* q = reinterpret_cast<float*>(shared);
  float* kv = q + N * (D + kPadding);
  float* tile = kv + N * (D + kPadding);
  // The longest walks first: the last queries see the most keys.
  const int first_query = static_cast<int>(gridDim.x - 1 - blockIdx.x) * N;
  const int head = static_cast<int>(blockIdx.y), b = static_cast<int>(blockIdx.z);
  const int kv_head = head / (a.heads / a.kv_heads), end_query = min(first_query + N, a.queries);
  const Documents documents = documents_of(a, b);
  const KeyRange range = keys_of_tile(a, first_query, end_query);
  DocumentRange ours{};
  if (documents) ours = range_of_documents(documents.queries, first_query, end_query);
  QueryState<N, D> state;
  state.begin(a, documents, first_query);
  load_tile<N, D, Order::natural>(q, row_at<T>(a.q, b, first_query, head), a.q.row, end_query - first_query,
                                  a);
  for (int key = range.first; key <= range.last; key += N) {
    const int rows = min(N, range.last + 1 - key);
    if (documents && !any_document_in(documents.keys, ours, key, key + rows)) continue;
    __syncthreads();
    load_tile<N, D, Order::seats>(kv, row_at<T>(a.k, b, key, kv_head), a.k.row, rows, a);
    __syncthreads();
    float scores[N / kSide][N / kSide];
    dot_tiles<N / kSide, N / kSide, D>(q, kv, a.width, scores);
    state.follow(a, documents, key, scores);
    const int tx = static_cast<int>(threadIdx.x) % kSide, ty = static_cast<int>(threadIdx.x) / kSide;
    if (a.dropout > 0) drop(a, first_query + ty, key + tx * (N / kSide), scores);
    put_tile<N>(tile, scores);
    __syncthreads();
    load_tile<N, D, Order::seats>(kv, row_at<T>(a.v, b, key, kv_head), a.v.row, rows, a);
    __syncthreads();
    add_product<N, D, N / kSide>(tile, {N + kPadding, 1}, kv, state.out);
  }
  store_queries<N, D, T>(a, state, first_query);
}

template <class T, int D, int N>
void launch(const AttentionArgs& a, cudaStream_t stream) {
  constexpr std::size_t kShared = sizeof(float) * (2 * N * (D + kPadding) + N * (N + kPadding));
  CARAVAN_CUDA_CHECK(cudaFuncSetAttribute(attention_forward_kernel<T, D, N>,
                                          cudaFuncAttributeMaxDynamicSharedMemorySize, kShared));
  const dim3 grid(blocks_for(a.queries, N), static_cast<unsigned>(a.heads), static_cast<unsigned>(a.batch));
  attention_forward_kernel<T, D, N><<<grid, kThreads, kShared, stream>>>(a);
  CARAVAN_CUDA_LAUNCHED();
}

template <class T>
void launch_for(const AttentionArgs& a, cudaStream_t stream) {
  if (a.width <= 64) return launch<T, 64, 64>(a, stream);
  if (a.width <= 128) return launch<T, 128, 64>(a, stream);
  launch<T, kWidestHead, 64>(a, stream);
}

}  // namespace

void attention_forward_kernels(const AttentionArgs& args, cudaStream_t stream) {
  with_type(args.dtype, [&]<class T>() { launch_for<T>(args, stream); });
}

}  // namespace caravan::cuda
