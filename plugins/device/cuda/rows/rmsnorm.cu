#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/kernels/follow.cuh"
#include "plugins/device/cuda/kernels/rows.cuh"

namespace caravan::cuda {
namespace {

/// How a row is spread over threads: each keeps kKept steps of N columns in registers between the sum and the
/// result, so that a row is read once; what is longer is read again.
constexpr int kKept = 4;
/// What a block's registers allow the backward, whose threads hold two rows' worth.
constexpr unsigned kMostThreads = 512;

/// Threads of one row, and rows of one block: a warp a row where that holds the row, else a block.
dim3 block_of(std::int64_t steps) {
  unsigned threads = kWarp;
  while (threads < kMostThreads && threads * kKept < steps) threads *= 2;
  return threads == kWarp ? dim3(kWarp, 4) : dim3(threads);
}

/// The sum over the threads of this thread's row.
__device__ float row_sum(float x) {
  return blockDim.x == kWarp ? warp_sum(x) : block_sum(x);
}

/// Column of step `k` of this thread.
template <int N>
__device__ int column_of(int k) {
  return (k * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x)) * N;
}

template <class T>
struct Forward {
  Rows<T> x, y;
  const T* weight;
  float* rstd;
  std::int64_t rows;
  int width;
  float eps;
};

template <int N>
__device__ float squares(const Floats<N>& v) {
  float total = 0;
#pragma unroll
  for (int i = 0; i < N; ++i) total += v[i] * v[i];
  return total;
}

template <int N, class T>
__device__ void write_normed(const Forward<T>& f, std::int64_t row, int column, Floats<N> v, float scale) {
  const Floats<N> w = load<N>(f.weight + column);
#pragma unroll
  for (int i = 0; i < N; ++i) v[i] *= scale * w[i];
  store(f.y.at(row, column), v);
}

template <class T, int N>
__global__ void __launch_bounds__(kMostThreads) forward_kernel(Forward<T> f) {
  let_next_kernel_begin();
  wait_for_kernel_before();
  const std::int64_t row = std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (row >= f.rows) return;
  Floats<N> kept[kKept];
  float total = 0;
#pragma unroll
  for (int k = 0; k < kKept; ++k) {
    if (column_of<N>(k) < f.width) kept[k] = load<N>(f.x.at(row, column_of<N>(k)));
  }
#pragma unroll
  for (int k = 0; k < kKept; ++k) {
    if (column_of<N>(k) < f.width) total += squares(kept[k]);
  }
  for (int k = kKept; column_of<N>(k) < f.width; ++k) total += squares(load<N>(f.x.at(row, column_of<N>(k))));
  const float scale = 1.0f / sqrtf(row_sum(total) / static_cast<float>(f.width) + f.eps);
  if (threadIdx.x == 0) f.rstd[row] = scale;
#pragma unroll
  for (int k = 0; k < kKept; ++k) {
    if (column_of<N>(k) < f.width) write_normed(f, row, column_of<N>(k), kept[k], scale);
  }
  for (int k = kKept; column_of<N>(k) < f.width; ++k) {
    write_normed(f, row, column_of<N>(k), load<N>(f.x.at(row, column_of<N>(k))), scale);
  }
}

template <class T>
struct Backward {
  Rows<T> x, dy, residual, dx;
  const T* weight;
  const float* rstd;
  std::int64_t rows;
  int width;
};

/// N columns as they lie in memory, which takes half the registers of floats.
template <class T, int N>
struct Piece {
  Raw<T, N> x, dy, weight, residual;

  __device__ void read(const Backward<T>& b, std::int64_t row, int column) {
    x = load_raw<N>(b.x.at(row, column));
    dy = load_raw<N>(b.dy.at(row, column));
    if (b.residual.data != nullptr) residual = load_raw<N>(b.residual.at(row, column));
    weight = load_raw<N>(b.weight + column);
  }
  __device__ void stay_raw() { stays_raw(x), stays_raw(dy), stays_raw(weight); }
  __device__ float dot() const {
    float total = 0;
#pragma unroll
    for (int i = 0; i < N; ++i) total += to_float(x.at[i]) * (to_float(dy.at[i]) * to_float(weight.at[i]));
    return total;
  }
  __device__ void write(const Backward<T>& b, std::int64_t row, int column, float scale, float slope) const {
    Floats<N> v;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      v[i] = scale * (to_float(dy.at[i]) * to_float(weight.at[i])) - slope * to_float(x.at[i]);
      if (b.residual.data != nullptr) v[i] += to_float(residual.at[i]);
    }
    store(b.dx.at(row, column), v);
  }
};

/// All that a row needs is asked for before its sum, so that only one trip to memory is waited for.
template <class T, int N, int kSteps>
__global__ void __launch_bounds__(kMostThreads) backward_input_kernel(Backward<T> b) {
  const std::int64_t row = std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (row >= b.rows) return;
  Piece<T, N> kept[kSteps];
  float total = 0;
  const float scale = b.rstd[row];
#pragma unroll
  for (int k = 0; k < kSteps; ++k) {
    if (column_of<N>(k) < b.width) kept[k].read(b, row, column_of<N>(k));
  }
#pragma unroll
  for (int k = 0; k < kSteps; ++k) {
    if (column_of<N>(k) < b.width) total += kept[k].dot();
    if (sizeof(T) < sizeof(float)) kept[k].stay_raw();
  }
  for (int k = kSteps; column_of<N>(k) < b.width; ++k) {
    Piece<T, N> more;
    more.read(b, row, column_of<N>(k));
    total += more.dot();
  }
  const float slope = scale * scale * scale * (row_sum(total) / static_cast<float>(b.width));
#pragma unroll
  for (int k = 0; k < kSteps; ++k) {
    if (column_of<N>(k) < b.width) kept[k].write(b, row, column_of<N>(k), scale, slope);
  }
  for (int k = kSteps; column_of<N>(k) < b.width; ++k) {
    Piece<T, N> more;
    more.read(b, row, column_of<N>(k));
    more.write(b, row, column_of<N>(k), scale, slope);
  }
}

/// A warp a row where three steps hold it, because it needs no barrier; else a block whose threads hold two,
/// so that registers serve enough of them.
dim3 backward_block_of(std::int64_t steps) {
  constexpr std::int64_t kOfWarp = 3 * kWarp, kOfPairs = 2 * kMostThreads;
  if (steps <= kOfWarp) return dim3(kWarp, 4);
  if (steps > kOfPairs) return dim3(kMostThreads);
  return dim3(static_cast<unsigned>(ceil_div(steps, 2 * kWarp)) * kWarp);
}

template <class T, int N>
auto* backward_input_for(std::int64_t steps_of_thread) {
  if constexpr (N > 1) {
    if (steps_of_thread <= 1) return backward_input_kernel<T, N, 1>;
    if (steps_of_thread == 2) return backward_input_kernel<T, N, 2>;
    if (steps_of_thread == 3) return backward_input_kernel<T, N, 3>;
  }
  return backward_input_kernel<T, N, kKept>;
}

}  // namespace

void CudaOps::rmsnorm_forward(const RmsNormForward& args) {
  const Call call("rmsnorm_forward");
  const DType type = call.compute_type("x", args.x);
  const Matrix x = call.matrix("x", args.x, type, kAny, kAny);
  const Matrix y = call.matrix("y", args.y, type, x.rows, x.columns);
  const Matrix weight = call.vector("weight", args.weight, type, x.columns);
  float* rstd = call.floats("rstd", args.rstd, x.rows);
  if (x.rows == 0 || x.columns == 0) return;
  with_type_and_step(type, rows_of_16_bytes({x, y, weight}), [&]<class T, int N>() {
    const dim3 block = block_of(x.columns / N);
    launch_following(forward_kernel<T, N>, dim3(blocks_for(x.rows, block.y)), block, context_.stream(), 0,
                     Forward<T>{Rows<T>(x), Rows<T>(y), weight.as<T>(), rstd, x.rows,
                                static_cast<int>(x.columns), args.eps});
  });
}

void CudaOps::rmsnorm_backward_input(const RmsNormBackwardInput& args) {
  const Call call("rmsnorm_backward_input");
  const DType type = call.compute_type("x", args.x);
  const Matrix x = call.matrix("x", args.x, type, kAny, kAny);
  const Matrix dy = call.matrix("dy", args.dy, type, x.rows, x.columns);
  const Matrix residual = call.optional_matrix("residual", args.residual, type, x.rows, x.columns);
  const Matrix dx = call.matrix("dx", args.dx, type, x.rows, x.columns);
  const Matrix weight = call.vector("weight", args.weight, type, x.columns);
  const float* rstd = call.floats("rstd", args.rstd, x.rows);
  if (x.rows == 0 || x.columns == 0) return;
  with_type_and_step(type, rows_of_16_bytes({x, dy, residual, dx, weight}), [&]<class T, int N>() {
    const dim3 block = backward_block_of(x.columns / N);
    const auto kernel = backward_input_for<T, N>(ceil_div(x.columns / N, block.x));
    kernel<<<blocks_for(x.rows, block.y), block, 0, context_.stream()>>>(
        {Rows<T>(x), Rows<T>(dy), Rows<T>(residual), Rows<T>(dx), weight.as<T>(), rstd, x.rows,
         static_cast<int>(x.columns)});
    CARAVAN_CUDA_LAUNCHED();
  });
}

}  // namespace caravan::cuda
