#include "plugins/device/cuda/attention/attention_mask.cuh"
#include "plugins/device/cuda/attention/attention_tile.cuh"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/kernels/vec.cuh"

// Gradients of attention without atomics, so that two runs agree: δ = Σ_d dout·out first, then dq by tiles of
// queries and dk, dv by tiles of keys; both recompute the probabilities from lse. Source: Dao et al. 2022.
//   p = exp(scale·q·k − lse),  dv = Σ_q (kept·p)·dout,  ds = p·(kept·dout·v − δ)·scale,  dq = ds·k,  dk =
//   dsᵀ·q
namespace caravan::cuda {
namespace {

/// A warp a query of a head.
template <class T>
__global__ void delta_kernel(const __grid_constant__ AttentionArgs a) {
  const int query = static_cast<int>(blockIdx.x * (blockDim.x / kWarp) + threadIdx.x / kWarp);
  const int head = static_cast<int>(blockIdx.y), b = static_cast<int>(blockIdx.z);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (query >= a.queries) return;
  const T* out = row_at<T>(a.out, b, query, head);
  const T* dout = row_at<T>(a.dout, b, query, head);
  float sum = 0;
  for (int d = 4 * lane; d < a.width; d += 4 * kWarp) {
    sum = dot(load_four(out, d, a.width, a.vectors), load_four(dout, d, a.width, a.vectors), sum);
  }
  sum = warp_sum(sum);
  if (lane == 0) a.delta[(static_cast<std::int64_t>(b) * a.heads + head) * a.queries + query] = sum;
}

/// What the backward needs of one query.
struct Query {
  KeyRange keys;
  std::int32_t document;
  float lse, delta;

  __device__ bool sees(int key, const Documents& documents) const {
    return key >= keys.first && key <= keys.last && (!documents || documents.keys[key] == document);
  }
};

/// Of one sequence and head.
__device__ Query query_of(const AttentionArgs& a, const Documents& documents, int b, int head, int query) {
  if (query >= a.queries) return {{0, -1}, 0, 0, 0};
  return {keys_of(a, query), documents ? documents.queries[query] : 0,
          a.lse[b * a.lse_batch + head * a.lse_head + query],
          a.delta[(static_cast<std::int64_t>(b) * a.heads + head) * a.queries + query]};
}

/// Where a thread's elements lie: queries query + 16r, keys key + c.
struct Place {
  int b, head, query, key;
};

/// Scores become probabilities times their dropout factors, dprobabilities become dscores.
template <int R>
__device__ void differentiate(const AttentionArgs& a, const Documents& documents, const Place& place,
                              float (&scores)[R][R], float (&dscores)[R][R]) {
#pragma unroll
  for (int r = 0; r < R; ++r) {
    const Query query = query_of(a, documents, place.b, place.head, place.query + kSide * r);
#pragma unroll
    for (int c = 0; c < R; ++c) {
      float p = 0, factor = 1;
      if (query.sees(place.key + c, documents)) p = expf(scores[r][c] * a.scale - query.lse);
      if (a.dropout > 0 && p > 0)
        factor = kept(a, place.b, place.head, place.query + kSide * r, place.key + c);
      scores[r][c] = p * factor;
      dscores[r][c] = p == 0 ? 0 : p * (factor * dscores[r][c] - query.delta) * a.scale;
    }
  }
}

template <int N, int D>
struct Tiles {
  float *q, *dout, *k, *v, *p, *ds;
  static constexpr int kTile = N * (D + kPadding), kSquare = N * (N + kPadding);
  static constexpr std::size_t kBytes = sizeof(float) * (4 * kTile + 2 * kSquare);

  __device__ explicit Tiles(float4* shared)
      : q(reinterpret_cast<float*>(shared)),
        dout(q + kTile),
        k(dout + kTile),
        v(k + kTile),
        p(v + kTile),
        ds(p + kSquare) {}
};

template <class T, int D, int N>
__global__ void __launch_bounds__(kThreads) dq_kernel(const __grid_constant__ AttentionArgs a) {
  constexpr int kRows = N / kSide;
  extern __shared__ float4 shared[];
  const Tiles<N, D> tiles(shared);
  const int first_query = static_cast<int>(gridDim.x - 1 - blockIdx.x) * N;
  const int head = static_cast<int>(blockIdx.y), b = static_cast<int>(blockIdx.z);
  const int tx = static_cast<int>(threadIdx.x) % kSide, ty = static_cast<int>(threadIdx.x) / kSide;
  const int kv_head = head / (a.heads / a.kv_heads), end_query = min(first_query + N, a.queries);
  const Documents documents = documents_of(a, b);
  const KeyRange range = keys_of_tile(a, first_query, end_query);
  DocumentRange ours{};
  if (documents) ours = range_of_documents(documents.queries, first_query, end_query);
  const int rows_of_q = end_query - first_query;
  load_tile<N, D, Order::natural>(tiles.q, row_at<T>(a.q, b, first_query, head), a.q.row, rows_of_q, a);
  load_tile<N, D, Order::natural>(tiles.dout, row_at<T>(a.dout, b, first_query, head), a.dout.row, rows_of_q,
                                  a);
  float4 dq[kRows][D / 64] = {};
  for (int key = range.first; key <= range.last; key += N) {
    const int rows = min(N, range.last + 1 - key);
    if (documents && !any_document_in(documents.keys, ours, key, key + rows)) continue;
    __syncthreads();
    load_tile<N, D, Order::seats>(tiles.k, row_at<T>(a.k, b, key, kv_head), a.k.row, rows, a);
    load_tile<N, D, Order::seats>(tiles.v, row_at<T>(a.v, b, key, kv_head), a.v.row, rows, a);
    __syncthreads();
    float p[kRows][kRows], ds[kRows][kRows];
    dot_tiles<kRows, kRows, D>(tiles.q, tiles.k, a.width, p);
    dot_tiles<kRows, kRows, D>(tiles.dout, tiles.v, a.width, ds);
    differentiate(a, documents, {b, head, first_query + ty, key + tx * kRows}, p, ds);
    put_tile<N>(tiles.ds, ds);
    __syncthreads();
    add_product<N, D, kRows>(tiles.ds, {N + kPadding, 1}, tiles.k, dq);
  }
  for (int r = 0; r < kRows && first_query + ty + kSide * r < a.queries; ++r) {
    T* row = writable_row_at<T>(a.dq, b, first_query + ty + kSide * r, head);
#pragma unroll
    for (int c = 0; c < D / 64; ++c) {
      const int column = 4 * tx + 64 * c;
      if (a.adds) dq[r][c] = plus(dq[r][c], load_four(row, column, a.width, false), 1);
      store_four(row, column, a.width, dq[r][c]);
    }
  }
}

/// Adds one head's queries to the gradients of a tile of keys.
template <class T, int D, int N>
__device__ void add_head(const AttentionArgs& a, const Tiles<N, D>& tiles, const Place& first,
                         float4 (&dk)[N / kSide][D / 64], float4 (&dv)[N / kSide][D / 64]) {
  constexpr int kRows = N / kSide;
  const int tx = static_cast<int>(threadIdx.x) % kSide, ty = static_cast<int>(threadIdx.x) / kSide;
  const int b = first.b, head = first.head, end_key = min(first.key + N, a.keys);
  const Documents documents = documents_of(a, b);
  const KeyRange range = queries_of_tile(a, first.key, end_key);
  DocumentRange ours{};
  if (documents) ours = range_of_documents(documents.keys, first.key, end_key);
  for (int query = range.first; query <= range.last; query += N) {
    const int rows = min(N, range.last + 1 - query);
    if (documents && !any_document_in(documents.queries, ours, query, query + rows)) continue;
    __syncthreads();
    load_tile<N, D, Order::natural>(tiles.q, row_at<T>(a.q, b, query, head), a.q.row, rows, a);
    load_tile<N, D, Order::natural>(tiles.dout, row_at<T>(a.dout, b, query, head), a.dout.row, rows, a);
    __syncthreads();
    float p[kRows][kRows], ds[kRows][kRows];
    dot_tiles<kRows, kRows, D>(tiles.q, tiles.k, a.width, p);
    dot_tiles<kRows, kRows, D>(tiles.dout, tiles.v, a.width, ds);
    differentiate(a, documents, {b, head, query + ty, first.key + tx * kRows}, p, ds);
    put_tile<N>(tiles.p, p);
    put_tile<N>(tiles.ds, ds);
    __syncthreads();
    add_product<N, D, kRows>(tiles.p, {1, N + kPadding}, tiles.dout, dv);
    add_product<N, D, kRows>(tiles.ds, {1, N + kPadding}, tiles.q, dk);
  }
}

template <class T, int D, int N>
__global__ void __launch_bounds__(kThreads) dkv_kernel(const __grid_constant__ AttentionArgs a) {
  constexpr int kRows = N / kSide;
  extern __shared__ float4 shared[];
  const Tiles<N, D> tiles(shared);
  // The longest walks first: the first keys are seen by the most queries.
  const int first_key = static_cast<int>(blockIdx.x) * N, rows = min(N, a.keys - first_key);
  const int kv_head = static_cast<int>(blockIdx.y), b = static_cast<int>(blockIdx.z);
  const int tx = static_cast<int>(threadIdx.x) % kSide, ty = static_cast<int>(threadIdx.x) / kSide;
  load_tile<N, D, Order::seats>(tiles.k, row_at<T>(a.k, b, first_key, kv_head), a.k.row, rows, a);
  load_tile<N, D, Order::seats>(tiles.v, row_at<T>(a.v, b, first_key, kv_head), a.v.row, rows, a);
  float4 dk[kRows][D / 64] = {}, dv[kRows][D / 64] = {};
  const int group = a.heads / a.kv_heads;
  for (int head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    add_head<T, D, N>(a, tiles, {b, head, 0, first_key}, dk, dv);
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int key = first_key + row_of<N>(ty + kSide * r);
    if (key >= a.keys) continue;
    T* to_dk = writable_row_at<T>(a.dk, b, key, kv_head);
    T* to_dv = writable_row_at<T>(a.dv, b, key, kv_head);
#pragma unroll
    for (int c = 0; c < D / 64; ++c) {
      store_four(to_dk, 4 * tx + 64 * c, a.width, dk[r][c]);
      store_four(to_dv, 4 * tx + 64 * c, a.width, dv[r][c]);
    }
  }
}

dim3 grid_of(int rows, int tile, int heads, int batch) {
  return {blocks_for(rows, tile), static_cast<unsigned>(heads), static_cast<unsigned>(batch)};
}

template <class T, int D, int N>
void launch(const AttentionArgs& a, cudaStream_t stream) {
  constexpr int kShared = Tiles<N, D>::kBytes, kWarps = kThreads / kWarp;
  constexpr auto kLimit = cudaFuncAttributeMaxDynamicSharedMemorySize;
  CARAVAN_CUDA_CHECK(cudaFuncSetAttribute(dq_kernel<T, D, N>, kLimit, kShared));
  CARAVAN_CUDA_CHECK(cudaFuncSetAttribute(dkv_kernel<T, D, N>, kLimit, kShared));
  delta_kernel<T><<<grid_of(a.queries, kWarps, a.heads, a.batch), kThreads, 0, stream>>>(a);
  dq_kernel<T, D, N><<<grid_of(a.queries, N, a.heads, a.batch), kThreads, kShared, stream>>>(a);
  dkv_kernel<T, D, N><<<grid_of(a.keys, N, a.kv_heads, a.batch), kThreads, kShared, stream>>>(a);
  CARAVAN_CUDA_LAUNCHED();
}

template <class T>
void launch_for(const AttentionArgs& a, cudaStream_t stream) {
  if (a.width <= 64) return launch<T, 64, 64>(a, stream);
  if (a.width <= 128) return launch<T, 128, 64>(a, stream);
  launch<T, kWidestHead, 32>(a, stream);
}

}  // namespace

void attention_backward_kernels(const AttentionArgs& args, cudaStream_t stream) {
  with_type(args.dtype, [&]<class T>() { launch_for<T>(args, stream); });
}

}  // namespace caravan::cuda
