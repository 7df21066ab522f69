#include <type_traits>

#include "plugins/device/cuda/grouped/grouped_gemm.hpp"
#include "plugins/device/cuda/grouped/grouped_tiles.cuh"
#include "plugins/device/cuda/kernels/dtype.cuh"
#include "plugins/device/cuda/kernels/launch.hpp"

// Grouped products for proofs in f32 and for shapes that the tensor cores do not serve.
namespace caravan::cuda {
namespace {

constexpr int kSide = 64, kSteps = 16, kSquare = 4;  // a tile, its steps along the depth, outputs of a thread
constexpr int kThreads = (kSide / kSquare) * (kSide / kSquare);

/// An operand as elements (output, depth): one of both strides is 1.
struct Strided {
  const void* data;
  std::int64_t group, output, depth;
};

struct PlainArgs {
  GroupedCall call;
  Strided a, b;
};

using Panel = float[kSteps][kSide + 4];

/// panel[k][i] = from(first + i, depth + k), 0 outside. Neighbouring threads read neighbouring elements.
template <class T>
__device__ void load_panel(Panel& panel, const T* from, const Strided& strides, int outputs, int depth) {
  const bool by_depth = strides.depth == 1;
#pragma unroll
  for (int n = 0; n < kSide * kSteps / kThreads; ++n) {
    const int at = static_cast<int>(threadIdx.x) + n * kThreads;
    const int i = by_depth ? at / kSteps : at % kSide, k = by_depth ? at % kSteps : at / kSide;
    const bool inside = i < outputs && k < depth;
    panel[k][i] = inside ? to_float(from[i * strides.output + k * strides.depth]) : 0.0f;
  }
}

__device__ void multiply_panels(float (&sum)[kSquare][kSquare], const Panel& a, const Panel& b, int row,
                                int column) {
#pragma unroll
  for (int k = 0; k < kSteps; ++k) {
    float x[kSquare], y[kSquare];
#pragma unroll
    for (int i = 0; i < kSquare; ++i) x[i] = a[k][row + i], y[i] = b[k][column + i];
#pragma unroll
    for (int i = 0; i < kSquare; ++i) {
#pragma unroll
      for (int j = 0; j < kSquare; ++j) sum[i][j] += x[i] * y[j];
    }
  }
}

template <Accumulate kMode, class Out>
__device__ void store_square(const float (&sum)[kSquare][kSquare], Out* to, std::int64_t stride, int rows,
                             int columns) {
#pragma unroll
  for (int i = 0; i < kSquare; ++i) {
#pragma unroll
    for (int j = 0; j < kSquare; ++j) {
      if (i >= rows || j >= columns) continue;
      Out& out = to[i * stride + j];
      if constexpr (kMode == Accumulate::add) {
        out += sum[i][j];
      } else {
        out = from_float<Out>(sum[i][j]);
      }
    }
  }
}

template <Product kProduct, class T, class Out>
__global__ void __launch_bounds__(kThreads) plain_kernel(const PlainArgs args) {
  constexpr bool kOfRows = kProduct == Product::rows;
  __shared__ Panel panel_a, panel_b;
  const GroupedCall& call = args.call;
  TileWalk<kProduct, kSide, kSide, 1, Shared::b> walk(call, 0);
  const int row = threadIdx.x / (kSide / kSquare) * kSquare,
            column = threadIdx.x % (kSide / kSquare) * kSquare;
  Tile tile;
  for (int unit = static_cast<int>(blockIdx.x); walk.seek(unit, tile); unit += static_cast<int>(gridDim.x)) {
    walk.place(tile);
    const int depth = kOfRows ? call.depth : tile.count;
    const int rows = (kOfRows ? tile.count : call.out_rows) - tile.row, columns = call.columns - tile.column;
    const T* a = static_cast<const T*>(args.a.data) + tile.row * args.a.output +
                 tile.first * (kOfRows ? args.a.output : args.a.depth);
    const T* b = static_cast<const T*>(args.b.data) + tile.group * args.b.group +
                 tile.column * args.b.output + (kOfRows ? 0 : tile.first * args.b.depth);
    float sum[kSquare][kSquare] = {};
    for (int k = 0; k < depth; k += kSteps) {
      load_panel(panel_a, a + k * args.a.depth, args.a, rows, depth - k);
      load_panel(panel_b, b + k * args.b.depth, args.b, columns, depth - k);
      __syncthreads();
      multiply_panels(sum, panel_a, panel_b, row, column);
      __syncthreads();
    }
    Out* out = static_cast<Out*>(call.out) + (kOfRows ? 0 : tile.group * call.out_group) +
               ((kOfRows ? tile.first : 0) + tile.row + row) * call.out_stride + tile.column + column;
    if (kOfRows || call.accumulate == Accumulate::replace) {
      store_square<Accumulate::replace>(sum, out, call.out_stride, rows - row, columns - column);
    } else {
      if constexpr (!kOfRows)
        store_square<Accumulate::add>(sum, out, call.out_stride, rows - row, columns - column);
    }
  }
}

Strided strided(const MappedTensor& tensor, bool depth_adjacent, bool grouped) {
  return {tensor.data, grouped ? tensor.matrix_stride : 0, depth_adjacent ? tensor.row_stride : 1,
          depth_adjacent ? 1 : tensor.row_stride};
}

}  // namespace

void grouped_plain(Context& context, const GroupedOperands& operands, const GroupedCall& call,
                   Product product) {
  const bool of_rows = product == Product::rows;
  const PlainArgs args{call, strided(operands.a, of_rows, false),
                       strided(operands.b, of_rows && operands.b_depth_adjacent, of_rows)};
  const std::int64_t tiles =
      ceil_div(call.columns, kSide) *
      (of_rows ? ceil_div(call.rows, kSide) + call.groups : ceil_div(call.out_rows, kSide) * call.groups);
  const unsigned blocks = resident_blocks(context, tiles, 1, 4);
  with_type(operands.a.dtype, [&]<class T>() {
    if (!of_rows) {
      plain_kernel<Product::weights, T, float><<<blocks, kThreads, 0, context.stream()>>>(args);
    } else if (call.out_f32) {
      plain_kernel<Product::rows, T, float><<<blocks, kThreads, 0, context.stream()>>>(args);
    } else {
      plain_kernel<Product::rows, T, bf16><<<blocks, kThreads, 0, context.stream()>>>(args);
    }
  });
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace caravan::cuda
