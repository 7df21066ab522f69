#include "plugins/device/cuda/attention/attention_call.hpp"
#include "plugins/device/cuda/attention/attention_mask.cuh"
#include "plugins/device/cuda/attention/attention_tile.cuh"
#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/kernels/launch.hpp"

// The largest logit of each head for any mask and head width: a block has a tile of queries of one head and
// walks the tiles of keys that they may see, as attention_forward.cu does, and keeps nothing but the largest.
namespace caravan::cuda {
namespace {

constexpr int kTile = 64;
constexpr int kOwnRows = kTile / kSide;  ///< of a thread: rows ty + 16r

/// What one thread's queries see, and the largest logit that it found.
struct SeenLogits {
  KeyRange keys[kOwnRows];
  std::int32_t document[kOwnRows];
  float largest = -INFINITY;

  __device__ SeenLogits(const AttentionArgs& a, const Documents& documents, int first_query) {
#pragma unroll
    for (int r = 0; r < kOwnRows; ++r) {
      const int query = first_query + static_cast<int>(threadIdx.x) / kSide + kSide * r;
      const bool is_query = query < a.queries;
      keys[r] = is_query ? keys_of(a, query) : KeyRange{0, -1};
      document[r] = documents && is_query ? documents.queries[query] : 0;
    }
  }
  __device__ void raise(const AttentionArgs& a, const Documents& documents, int first_key,
                        const float (&products)[kOwnRows][kOwnRows]) {
    const int own_key = first_key + static_cast<int>(threadIdx.x) % kSide * kOwnRows;
#pragma unroll
    for (int r = 0; r < kOwnRows; ++r) {
#pragma unroll
      for (int c = 0; c < kOwnRows; ++c) {
        const int key = own_key + c;
        const bool seen = key >= keys[r].first && key <= keys[r].last;
        if (seen && (!documents || documents.keys[key] == document[r]))
          largest = fmaxf(largest, products[r][c] * a.scale);
      }
    }
  }
};

/// Bits of floats of one sign order as integers do; a zero is made a positive one.
__device__ void raise_to(float* at, float value) {
  value += 0.0f;
  if (value >= 0)
    atomicMax(reinterpret_cast<int*>(at), __float_as_int(value));
  else
    atomicMin(reinterpret_cast<unsigned*>(at), __float_as_uint(value));
}

template <class T, int D>
__global__ void __launch_bounds__(kThreads)
    largest_logits_kernel(const __grid_constant__ AttentionArgs a, float* largest) {
  extern __shared__ float4 shared[];
  float* q = reinterpret_cast<float*>(shared);
  float* k = q + kTile * (D + kPadding);
  const int first_query = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kTile;
  const int head = static_cast<int>(blockIdx.y), b = static_cast<int>(blockIdx.z);
  const int kv_head = head / (a.heads / a.kv_heads), end_query = min(first_query + kTile, a.queries);
  const Documents documents = documents_of(a, b);
  const KeyRange range = keys_of_tile(a, first_query, end_query);
  DocumentRange ours{};
  if (documents) ours = range_of_documents(documents.queries, first_query, end_query);
  SeenLogits seen(a, documents, first_query);
  load_tile<kTile, D, Order::natural>(q, row_at<T>(a.q, b, first_query, head), a.q.row,
                                      end_query - first_query, a);
  for (int key = range.first; key <= range.last; key += kTile) {
    const int rows = min(kTile, range.last + 1 - key);
    if (documents && !any_document_in(documents.keys, ours, key, key + rows)) continue;
    __syncthreads();
    load_tile<kTile, D, Order::seats>(k, row_at<T>(a.k, b, key, kv_head), a.k.row, rows, a);
    __syncthreads();
    float products[kOwnRows][kOwnRows];
    dot_tiles<kOwnRows, kOwnRows, D>(q, k, a.width, products);
    seen.raise(a, documents, key, products);
  }
  float most = seen.largest;
  for (int lanes = 16; lanes > 0; lanes /= 2) most = fmaxf(most, __shfl_xor_sync(~0u, most, lanes));
  if (threadIdx.x % 32 == 0 && most > -INFINITY) raise_to(largest + head, most);
}

template <class T, int D>
void launch_largest(const AttentionArgs& a, float* largest, cudaStream_t stream) {
  constexpr std::size_t kShared = sizeof(float) * 2 * kTile * (D + kPadding);
  CARAVAN_CUDA_CHECK(cudaFuncSetAttribute(largest_logits_kernel<T, D>,
                                          cudaFuncAttributeMaxDynamicSharedMemorySize, kShared));
  const dim3 grid(blocks_for(a.queries, kTile), static_cast<unsigned>(a.heads),
                  static_cast<unsigned>(a.batch));
  largest_logits_kernel<T, D><<<grid, kThreads, kShared, stream>>>(a, largest);
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace

void CudaOps::largest_logits(const LargestLogits& args) {
  const Call call("largest_logits");
  const AttentionArgs a = check_attention(call, args);
  float* const largest = call.floats("largest", args.largest, a.heads);
  if (a.batch == 0 || a.queries == 0 || a.keys == 0) return;
  with_type(a.dtype, [&]<class T>() {
    if (a.width <= 64) return launch_largest<T, 64>(a, largest, context_.stream());
    if (a.width <= 128) return launch_largest<T, 128>(a, largest, context_.stream());
    launch_largest<T, kWidestHead>(a, largest, context_.stream());
  });
}

}  // namespace caravan::cuda
