#include "plugins/device/cuda/products/narrow_product.hpp"

#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/kernels/narrow_fragments.cuh"
#include "plugins/device/cuda/kernels/rows.cuh"

namespace caravan::cuda {
namespace {

constexpr int kWarps = 4, kThreads = kWarps * static_cast<int>(kWarp);
constexpr int kRows = 16;    ///< of T or, in the gradient of weights, half of kNarrow
constexpr int kNarrow = 32;  ///< columns of the narrow matrix that one block has
constexpr int kTiles = 8, kColumns = 8 * kTiles;
constexpr std::int64_t kMostNarrow = 256;

struct Extents {
  int tokens, experts, width;
};

/// Sixteen tokens and 32 experts a block; its warps share the depth in steps of 32.
template <class Y>
__global__ void __launch_bounds__(kThreads, 8)
    forward_kernel(Extents e, Rows<bf16> x, Rows<bf16> w, Rows<Y> y) {
  constexpr int kExperts = kNarrow / 8, kStep = 32;
  __shared__ float parts[kWarps - 1][4 * kExperts][kWarp];
  const FragmentLane lane;
  const int warp = static_cast<int>(threadIdx.x / kWarp), blocks = (e.experts + kNarrow - 1) / kNarrow;
  const int token = static_cast<int>(blockIdx.x) / blocks * kRows + lane.group,
            expert = static_cast<int>(blockIdx.x) % blocks * kNarrow;
  const bf16 *low = x.at(min(token, e.tokens - 1)), *high = x.at(min(token + 8, e.tokens - 1));
  const bf16* weights[kExperts];
#pragma unroll
  for (int j = 0; j < kExperts; ++j) weights[j] = w.at(min(expert + 8 * j + lane.group, e.experts - 1));
  float sums[kExperts][4] = {};
#pragma unroll 2
  for (int depth = warp * kStep + 8 * lane.member; depth - 8 * lane.member < e.width;
       depth += kWarps * kStep) {
    Eight a[2]{}, b[kExperts]{};
    if (depth < e.width) {
      a[0] = eight_at(low + depth);
      a[1] = eight_at(high + depth);
#pragma unroll
      for (int j = 0; j < kExperts; ++j) b[j] = eight_at(weights[j] + depth);
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const std::uint32_t left[4] = {a[0].pair[2 * half], a[1].pair[2 * half], a[0].pair[2 * half + 1],
                                     a[1].pair[2 * half + 1]};
#pragma unroll
      for (int j = 0; j < kExperts; ++j) {
        multiply_add(sums[j], left, b[j].pair[2 * half], b[j].pair[2 * half + 1]);
      }
    }
  }
  const int place = static_cast<int>(threadIdx.x % kWarp);
#pragma unroll
  for (int i = 0; i < 4 * kExperts; ++i) {
    if (warp > 0) parts[warp - 1][i][place] = sums[i / 4][i % 4];
  }
  __syncthreads();
  if (warp > 0) return;
#pragma unroll
  for (int i = 0; i < 4 * kExperts; ++i) {
    float sum = sums[i / 4][i % 4];
#pragma unroll
    for (int other = 0; other < kWarps - 1; ++other) sum += parts[other][i][place];
    const int row = token + i % 4 / 2 * 8, column = expert + i / 4 * 8 + 2 * lane.member + i % 2;
    if (row < e.tokens && column < e.experts) *y.at(row, column) = from_float<Y>(sum);
  }
}

/// Depth 16 of sixteen tokens, in pairs as DepthRows has them: 0 beyond the experts.
__device__ void read_tokens(std::uint32_t (&to)[4], const Extents& e, const bf16* low, const bf16* high,
                            int depth) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int first = depth + 8 * (i / 2), second = first + 4;
    const bf16* row = i % 2 ? high : low;
    const bf16 zero = from_float<bf16>(0);
    to[i] = pair_of(first < e.experts ? row[first] : zero, second < e.experts ? row[second] : zero);
  }
}

/// Sixteen tokens a block, 64 columns a warp.
template <NarrowResult kResult>
__global__ void __launch_bounds__(kThreads)
    backward_input_kernel(Extents e, Rows<bf16> dy, Rows<bf16> w, Rows<bf16> dx) {
  constexpr bool kAdds = kResult == NarrowResult::added_to;
  const FragmentLane lane;
  const int groups = (e.width + kWarps * kColumns - 1) / (kWarps * kColumns);
  const int token = static_cast<int>(blockIdx.x) / groups * kRows + lane.group;
  const int first =
      (static_cast<int>(blockIdx.x) % groups * kWarps + static_cast<int>(threadIdx.x / kWarp)) * kColumns;
  if (first >= e.width) return;
  const bf16 *low = dy.at(min(token, e.tokens - 1)), *high = dy.at(min(token + 8, e.tokens - 1));
  const int column = min(first + column_read(lane), e.width - 8);
  Raw<bf16, 8> before[4];
#pragma unroll
  for (int i = 0; kAdds && i < 4; ++i) {
    const int row = min(token + i / 2 * 8, e.tokens - 1), at = first + column_of(lane.member, i);
    before[i] = load_raw<8>(dx.at(row, min(at, e.width - 8)));
  }
  float sums[kTiles][4] = {};
#pragma unroll 2
  for (int depth = 0; depth < e.experts; depth += 16) {
    std::uint32_t left[4];
    DepthRows right;
    read_tokens(left, e, low, high, depth + lane.member);
    right.read(depth, [&](int expert) { return w.at(min(expert, e.experts - 1), column); });
#pragma unroll
    for (int j = 0; j < kTiles; ++j) multiply_add(sums[j], left, right.of(j, 0), right.of(j, 1));
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int row = token + i / 2 * 8, at = first + column_of(lane.member, i);
    Floats<8> sum;
#pragma unroll
    for (int j = 0; j < 8; ++j) sum[j] = sums[j][i] + (kAdds ? to_float(before[i].at[j]) : 0.0f);
    if (row < e.tokens && at < e.width) store<8>(dx.at(row, at), sum);
  }
}

/// A part of dw in the order in which a block holds it: two halves of 16 experts × 8 fragments × 4 elements,
/// of 32 lanes each.
constexpr int kPart = kNarrow * kColumns;

struct Place {
  int expert, column;
  __device__ explicit Place(int index) {
    const int lane = index % static_cast<int>(kWarp), i = index / static_cast<int>(kWarp);
    const int element = i % 4, j = i / 4 % kTiles, half = i / (4 * kTiles);
    expert = 16 * half + lane / 4 + element / 2 * 8;
    column = column_of(lane % 4, element) + j;
  }
};

/// Depth 16 of 16 experts, transposed: 0 beyond the tokens.
__device__ void read_experts(std::uint32_t (&to)[4], const Extents& e, const Rows<bf16>& dy, int token,
                             int expert) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int first = token + 8 * (i / 2), second = first + 4;
    const int column = min(expert + i % 2 * 8, e.experts - 1);
    const bf16 zero = from_float<bf16>(0);
    to[i] = pair_of(first < e.tokens ? *dy.at(first, column) : zero,
                    second < e.tokens ? *dy.at(second, column) : zero);
  }
}

/// 32 experts × 64 columns a block, over every gridDim.y-th group of 64 tokens, 16 of them a warp.
__global__ void __launch_bounds__(kThreads)
    weight_parts_kernel(Extents e, Rows<bf16> dy, Rows<bf16> x, float* parts) {
  __shared__ float sums_of[kWarps][kPart];
  const FragmentLane lane;
  const int warp = static_cast<int>(threadIdx.x / kWarp), slices = (e.width + kColumns - 1) / kColumns;
  const int expert = static_cast<int>(blockIdx.x) / slices * kNarrow + lane.group,
            column = min(static_cast<int>(blockIdx.x) % slices * kColumns + column_read(lane), e.width - 8);
  float sums[2][kTiles][4] = {};
#pragma unroll 2
  for (int token = (static_cast<int>(blockIdx.y) * kWarps + warp) * 16; token < e.tokens;
       token += static_cast<int>(gridDim.y) * kWarps * 16) {
    DepthRows right;
    std::uint32_t left[2][4];
    right.read(token, [&](int t) { return x.at(min(t, e.tokens - 1), column); });
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      read_experts(left[half], e, dy, token + lane.member, expert + 16 * half);
    }
#pragma unroll
    for (int j = 0; j < kTiles; ++j) {
      const std::uint32_t low = right.of(j, 0), high = right.of(j, 1);
      multiply_add(sums[0][j], left[0], low, high);
      multiply_add(sums[1][j], left[1], low, high);
    }
  }
#pragma unroll
  for (int i = 0; i < 8 * kTiles; ++i) {
    sums_of[warp][i * kWarp + threadIdx.x % kWarp] = sums[i / (4 * kTiles)][i / 4 % kTiles][i % 4];
  }
  __syncthreads();
  float* part = parts + (std::int64_t{blockIdx.x} * gridDim.y + blockIdx.y) * kPart;
  for (int i = static_cast<int>(threadIdx.x); i < kPart; i += kThreads) {
    part[i] = sums_of[0][i] + sums_of[1][i] + sums_of[2][i] + sums_of[3][i];
  }
}

/// 32 elements a block, whose warps share the parts.
template <NarrowResult kResult>
__global__ void __launch_bounds__(kThreads)
    add_parts_kernel(Extents e, const float* parts, int count, Rows<float> dw) {
  __shared__ float sums[kWarps][kWarp];
  const int slices = (e.width + kColumns - 1) / kColumns, warp = static_cast<int>(threadIdx.x / kWarp),
            lane = static_cast<int>(threadIdx.x % kWarp);
  const int index = static_cast<int>(blockIdx.y * kWarp) + lane;
  const float* part = parts + std::int64_t{blockIdx.x} * count * kPart + index;
  float sum = 0;
#pragma unroll 8
  for (int i = warp; i < count; i += kWarps) sum += part[std::int64_t{i} * kPart];
  sums[warp][lane] = sum;
  __syncthreads();
  const Place place(index);
  const int expert = static_cast<int>(blockIdx.x) / slices * kNarrow + place.expert,
            column = static_cast<int>(blockIdx.x) % slices * kColumns + place.column;
  if (warp > 0 || expert >= e.experts || column >= e.width) return;
  for (int other = 1; other < kWarps; ++other) sum += sums[other][lane];
  float& to = *dw.at(expert, column);
  to = kResult == NarrowResult::added_to ? to + sum : sum;
}

Extents extents_of(const Matrix& wide, const Matrix& narrow) {
  return {static_cast<int>(wide.rows), static_cast<int>(narrow.columns), static_cast<int>(wide.columns)};
}

}  // namespace

bool is_narrow(const Matrix& narrow, std::initializer_list<Matrix> wide) {
  if (narrow.columns == 0 || narrow.columns > kMostNarrow || rows_of_16_bytes({narrow})) return false;
  for (const Matrix& m : wide) {
    if (m.dtype != DType::bf16 || m.rows > (1 << 30) || m.columns == 0) return false;
  }
  return narrow.rows > 0 && rows_of_16_bytes(wide);
}

void narrow_forward(const Matrix& x, const Matrix& w, const Matrix& y, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(ceil_div(x.rows, kRows) * ceil_div(y.columns, kNarrow));
  with_type(y.dtype, [&]<class Y>() {
    forward_kernel<Y>
        <<<blocks, kThreads, 0, stream>>>(extents_of(x, y), Rows<bf16>(x), Rows<bf16>(w), Rows<Y>(y));
  });
  CARAVAN_CUDA_LAUNCHED();
}

void narrow_backward_input(const Matrix& dy, const Matrix& w, const Matrix& dx, NarrowResult result,
                           cudaStream_t stream) {
  const auto kernel = result == NarrowResult::replaced ? backward_input_kernel<NarrowResult::replaced>
                                                       : backward_input_kernel<NarrowResult::added_to>;
  const unsigned blocks = blocks_for(dx.rows, kRows) * blocks_for(dx.columns, kWarps * kColumns);
  kernel<<<blocks, kThreads, 0, stream>>>(extents_of(dx, dy), Rows<bf16>(dy), Rows<bf16>(w), Rows<bf16>(dx));
  CARAVAN_CUDA_LAUNCHED();
}

void narrow_backward_weight(const Matrix& dy, const Matrix& x, const Matrix& dw, NarrowResult result,
                            Context& context) {
  constexpr int kBlocksPerMultiprocessor = 4;  // what registers serve; no more, or the last ones run alone
  const unsigned boxes = blocks_for(x.columns, kColumns) * blocks_for(dy.columns, kNarrow);
  const std::int64_t at_once = std::int64_t{context.multiprocessors()} * kBlocksPerMultiprocessor;
  const unsigned shares = blocks_for(x.rows, kWarps * 16, std::max<std::int64_t>(1, at_once / boxes));
  const std::size_t floats = std::size_t{boxes} * shares * kPart;
  context.workspace().begin(floats * sizeof(float), 1);
  float* parts = context.workspace().take<float>(floats);
  const Extents extents = extents_of(x, dy);
  weight_parts_kernel<<<dim3(boxes, shares), kThreads, 0, context.stream()>>>(extents, Rows<bf16>(dy),
                                                                              Rows<bf16>(x), parts);
  CARAVAN_CUDA_LAUNCHED();
  const auto kernel = result == NarrowResult::replaced ? add_parts_kernel<NarrowResult::replaced>
                                                       : add_parts_kernel<NarrowResult::added_to>;
  kernel<<<dim3(boxes, kPart / kWarp), kThreads, 0, context.stream()>>>(
      extents, parts, static_cast<int>(shares), Rows<float>(dw));
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace caravan::cuda
