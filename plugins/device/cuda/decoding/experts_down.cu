#include "plugins/device/cuda/decoding/decode_experts.hpp"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/kernels/rows.cuh"
#include "plugins/device/cuda/products/few_rows.cuh"

// Down projections of few tokens, and their sum: a block has 16 columns of y and goes through the shared
// expert and all that rows have gone to, as if their depths were one. What a warp has of an expert's depth
// depends on nothing else, so that y does not depend on the other tokens.
namespace caravan::cuda {
namespace {

using namespace few;

struct Args {
  Rows<bf16> activated, shared_activated, base, y;
  Rows<float> v;
  Rows<std::int32_t> row_of;
  const std::int32_t* offsets;
  const bf16 *routed, *shared;
  std::int64_t routed_row, routed_matrix, shared_row;
  int groups, rows, tokens, top_k, columns, hidden, shared_hidden;
};

template <int kTokens, int kRows>
struct Shared {
  Parts<kTokens + kRows> parts;
  float totals[Parts<kTokens + kRows>::kOfTile * (kTokens + kRows)];
  GroupRows groups[kMostFewChoices];
  int num_groups;
};

/// One warp lists the groups that have rows.
__device__ int list_groups(const Args& args, GroupRows (&groups)[kMostFewChoices]) {
  int count = 0;
  for (int begin = 0; begin < args.groups; begin += static_cast<int>(kWarp)) {
    const int lane = static_cast<int>(threadIdx.x % kWarp), group = begin + lane;
    const int first = group < args.groups ? args.offsets[group] : 0,
              end = group < args.groups ? min(args.offsets[group + 1], args.rows) : 0;
    const unsigned mask = __ballot_sync(kWholeWarp, end > first);
    const int at = count + __popc(mask & ((1u << lane) - 1));
    if (end > first && at < kMostFewChoices) groups[at] = {group, first, end};
    count += __popc(mask);
  }
  return min(count, static_cast<int>(kMostFewChoices));
}

/// A warp's batches of pieces in their order: those of the shared expert, then those of each group.
struct Cursor {
  int group = -1, batch = 0;

  __device__ void next(int shared_batches, int batches) {
    if (++batch < (group < 0 ? shared_batches : batches)) return;
    batch = 0, ++group;
  }
};

__device__ int batches_of(int depth) {
  return (pieces_of(depth) + kBatch<1> - 1) / kBatch<1>;
}

template <int kTokens, int kRows>
class Down {
 public:
  __device__ Down(const Args& args, Shared<kTokens, kRows>& shared)
      : args_(args),
        shared_(shared),
        row_(static_cast<int>(blockIdx.x) * kTileRows + Lane().group),
        shared_batches_(args.shared ? batches_of(args.shared_hidden) : 0),
        batches_(batches_of(args.hidden)) {
    if (shared_batches_ == 0) reading_.group = making_.group = 0;
  }

  /// This warp's sums. The shared expert's weights need no other kernel.
  __device__ void add_up() {
    Batch<1> even, odd;
    if (shared_batches_ > 0) read(even);
    if (shared_batches_ > 1) read(odd);
    wait_for_kernel_before();
    if (threadIdx.x < kWarp) {
      const int count = list_groups(args_, shared_.groups);
      if (threadIdx.x == 0) shared_.num_groups = batches_ > 0 ? count : 0;
    }
    __syncthreads();
    if (shared_batches_ == 0) read(even);
    if (shared_batches_ < 2) read(odd);
    const int all = shared_batches_ + shared_.num_groups * batches_;
    for (int at = 0; at < all; at += 2) {
      make(even);
      read(even);
      if (at + 1 < all) make(odd);
      read(odd);
    }
#pragma unroll
    for (int i = 0; i < kTokens; ++i) shared_.parts.put(i, shared_sums_[0][i]);
#pragma unroll
    for (int i = 0; i < kRows; ++i) shared_.parts.put(kTokens + i, sums_[0][i]);
  }

 private:
  static constexpr int kStep = kBatch<1> * kStride;

  /// The next batch of weights; zeros behind the last one.
  __device__ void read(Batch<1>& batch) {
    const Cursor now = reading_;
    reading_.next(shared_batches_, batches_);
    const int low = min(row_, args_.columns - 1), high = min(row_ + 8, args_.columns - 1);
    const bf16* w = args_.shared;
    std::int64_t stride = args_.shared_row;
    int depth = args_.shared_hidden;
    if (now.group >= 0) {
      depth = now.group < shared_.num_groups ? args_.hidden : 0;
      w = args_.routed + (depth > 0 ? shared_.groups[now.group].group * args_.routed_matrix : 0);
      stride = args_.routed_row;
    }
    const bf16* const weights[1][2] = {{w + low * stride, w + high * stride}};
    read_batch<1>(batch, weights, depth, first_depth() + now.batch * kStep);
  }

  __device__ void make(const Batch<1>& batch) {
    const Cursor now = making_;
    making_.next(shared_batches_, batches_);
    const int begin = first_depth() + now.batch * kStep;
    if (now.group < 0) {
      multiply_batch<1, kTokens>(batch, args_.shared_hidden, begin, shared_sums_, [&](int j, int at) {
        const int token = min(j * kTileTokens + Lane().group, args_.tokens - 1);
        return eight_at(args_.shared_activated.at(token) + at);
      });
      return;
    }
    const GroupRows rows = shared_.groups[now.group];
#pragma unroll
    for (int j = 0; j < kRows; ++j) {
      if (rows.first >= (j + 1) * kTileTokens || rows.end <= j * kTileTokens) continue;
      const int row = j * kTileTokens + Lane().group;
      const bool is_of_group = row >= rows.first && row < rows.end;
      float of_tile[1][1][4];
#pragma unroll
      for (int i = 0; i < 4; ++i) of_tile[0][0][i] = sums_[0][j][i];
      multiply_batch<1, 1>(batch, args_.hidden, begin, of_tile, [&](int, int at) {
        return is_of_group ? eight_at(args_.activated.at(row) + at) : Eight{};
      });
#pragma unroll
      for (int i = 0; i < 4; ++i) sums_[0][j][i] = of_tile[0][0][i];
    }
  }

  const Args& args_;
  Shared<kTokens, kRows>& shared_;
  int row_, shared_batches_, batches_;
  Cursor reading_, making_;
  Sums<1, kTokens> shared_sums_{};
  Sums<1, kRows> sums_{};
};

/// y = base + shared + Σ_k v·routed
template <int kTokens, int kRows>
__device__ void store_results(const Args& args, const Shared<kTokens, kRows>& shared) {
  constexpr int kOfTile = Parts<1>::kOfTile;
  for (int at = static_cast<int>(threadIdx.x); at < args.tokens * kTileRows; at += kThreads) {
    const int token = at / kTileRows, row = at % kTileRows,
              column = static_cast<int>(blockIdx.x) * kTileRows + row;
    if (column >= args.columns) continue;
    float sum = args.base.data ? to_float(*args.base.at(token, column)) : 0.0f;
    if (args.shared) sum += shared.totals[Place::number(row, token)];
    for (int k = 0; k < args.top_k; ++k) {
      const int of = *args.row_of.at(token, k);
      if (of < 0 || of >= kRows * kTileTokens) continue;
      const float v = args.v.data ? *args.v.at(token, k) : 1.0f;
      sum += v * shared.totals[kTokens * kOfTile + Place::number(row, of)];
    }
    *args.y.at(token, column) = from_float<bf16>(sum);
  }
}

template <int kTokens, int kRows>
__global__ void __launch_bounds__(kThreads, kTokens + kRows <= 4 ? 2 : 1) down_kernel(Args args) {
  extern __shared__ __align__(16) std::byte memory[];
  auto& shared = *reinterpret_cast<Shared<kTokens, kRows>*>(memory);
  let_next_kernel_begin();
  Down<kTokens, kRows>(args, shared).add_up();
  __syncthreads();
  for (int at = static_cast<int>(threadIdx.x); at < (kTokens + kRows) * Parts<1>::kOfTile; at += kThreads)
    shared.totals[at] = shared.parts.sum(at);
  __syncthreads();
  store_results(args, shared);
}

Args args_of(const FewExperts& e) {
  return {Rows<bf16>(e.activated),
          Rows<bf16>(e.shared_activated),
          Rows<bf16>(e.base),
          Rows<bf16>(e.y),
          Rows<float>(e.v),
          Rows<std::int32_t>(e.row_of),
          e.offsets,
          static_cast<const bf16*>(e.down.data),
          static_cast<const bf16*>(e.shared_down.data),
          e.down.row_stride,
          e.down.matrix_stride,
          e.shared_down.row_stride,
          static_cast<int>(e.down.matrices),
          static_cast<int>(e.activated.rows),
          static_cast<int>(e.x.rows),
          static_cast<int>(e.row_of.columns),
          static_cast<int>(e.x.columns),
          static_cast<int>(e.activated.columns),
          static_cast<int>(e.shared_activated.columns)};
}

template <int kTokens, int kRows>
void launch(const FewExperts& e, cudaStream_t stream) {
  constexpr std::size_t kBytes = sizeof(Shared<kTokens, kRows>);
  const auto kernel = down_kernel<kTokens, kRows>;
  allow_shared(kernel, kBytes);
  launch_following(kernel, dim3(blocks_for(e.x.columns, kTileRows)), dim3(kThreads), stream, kBytes,
                   args_of(e));
}

template <int kTokens>
void launch_for_rows(const FewExperts& e, cudaStream_t stream) {
  const std::int64_t rows = e.activated.rows;
  if (rows <= kTileTokens) return launch<kTokens, 1>(e, stream);
  if (rows <= 2 * kTileTokens) return launch<kTokens, 2>(e, stream);
  if (rows <= 4 * kTileTokens) return launch<kTokens, 4>(e, stream);
  launch<kTokens, 8>(e, stream);
}

}  // namespace

void experts_down(const FewExperts& e, cudaStream_t stream) {
  if (e.x.rows <= kTileTokens) return launch_for_rows<1>(e, stream);
  if (e.x.rows <= 2 * kTileTokens) return launch_for_rows<2>(e, stream);
  launch_for_rows<4>(e, stream);
}

}  // namespace caravan::cuda
