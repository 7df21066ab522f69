#include "cuda_ops.hpp"
#include "rows.cuh"

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

/// x and weight·dy of N columns.
template <int N>
struct Pair {
  Floats<N> x, wdy;

  template <class T>
  __device__ void read(const Backward<T>& b, std::int64_t row, int column) {
    x = load<N>(b.x.at(row, column));
    wdy = load<N>(b.dy.at(row, column));
    const Floats<N> w = load<N>(b.weight + column);
#pragma unroll
    for (int i = 0; i < N; ++i) wdy[i] *= w[i];
  }
  __device__ float dot() const {
    float total = 0;
#pragma unroll
    for (int i = 0; i < N; ++i) total += x[i] * wdy[i];
    return total;
  }
};

template <int N, class T>
__device__ void write_gradient(const Backward<T>& b, std::int64_t row, int column, const Pair<N>& p,
                               float scale, float slope) {
  Floats<N> v;
#pragma unroll
  for (int i = 0; i < N; ++i) v[i] = scale * p.wdy[i] - slope * p.x[i];
  if (b.residual.data != nullptr) {
    const Floats<N> r = load<N>(b.residual.at(row, column));
#pragma unroll
    for (int i = 0; i < N; ++i) v[i] += r[i];
  }
  store(b.dx.at(row, column), v);
}

template <class T, int N>
__global__ void __launch_bounds__(kMostThreads) backward_input_kernel(Backward<T> b) {
  const std::int64_t row = std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (row >= b.rows) return;
  Pair<N> kept[kKept];
  float total = 0;
#pragma unroll
  for (int k = 0; k < kKept; ++k) {
    if (column_of<N>(k) < b.width) kept[k].read(b, row, column_of<N>(k));
  }
#pragma unroll
  for (int k = 0; k < kKept; ++k) {
    if (column_of<N>(k) < b.width) total += kept[k].dot();
  }
  for (int k = kKept; column_of<N>(k) < b.width; ++k) {
    Pair<N> more;
    more.read(b, row, column_of<N>(k));
    total += more.dot();
  }
  const float scale = b.rstd[row];
  const float slope = scale * scale * scale * (row_sum(total) / static_cast<float>(b.width));
#pragma unroll
  for (int k = 0; k < kKept; ++k) {
    if (column_of<N>(k) < b.width) write_gradient(b, row, column_of<N>(k), kept[k], scale, slope);
  }
  for (int k = kKept; column_of<N>(k) < b.width; ++k) {
    Pair<N> more;
    more.read(b, row, column_of<N>(k));
    write_gradient(b, row, column_of<N>(k), more, scale, slope);
  }
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
    forward_kernel<T, N><<<blocks_for(x.rows, block.y), block, 0, context_.stream()>>>(
        {Rows<T>(x), Rows<T>(y), weight.as<T>(), rstd, x.rows, static_cast<int>(x.columns), args.eps});
    CARAVAN_CUDA_LAUNCHED();
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
    const dim3 block = block_of(x.columns / N);
    backward_input_kernel<T, N><<<blocks_for(x.rows, block.y), block, 0, context_.stream()>>>(
        {Rows<T>(x), Rows<T>(dy), Rows<T>(residual), Rows<T>(dx), weight.as<T>(), rstd, x.rows,
         static_cast<int>(x.columns)});
    CARAVAN_CUDA_LAUNCHED();
  });
}

}  // namespace caravan::cuda
