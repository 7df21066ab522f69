#include <string>

#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/kernels/last_block.cuh"
#include "plugins/device/cuda/kernels/random.cuh"
#include "plugins/device/cuda/kernels/rows.cuh"
#include "plugins/device/cuda/kernels/ticket.hpp"

namespace caravan::cuda {
namespace {

template <class T>
struct DropoutRows {
  Rows<T> x;
  RandomKey key;
  TokenMap rows;
  float probability, kept;

  template <int N>
  __device__ void at(std::int64_t row, std::int64_t column) const {
    Floats<N> v = load<N>(x.at(row, column));
    const Floats<N> unit = uniforms<N>(key, static_cast<std::uint64_t>(rows.token(row)), column);
#pragma unroll
    for (int i = 0; i < N; ++i) v[i] *= unit[i] < probability ? 0.0f : kept;
    store(x.at(row, column), v);
  }
};

constexpr int kThreads = 256;

/// y += x over `count` elements; the last step may be shorter than N.
template <class T, int N>
__global__ void __launch_bounds__(kThreads) add_kernel(const T* x, T* y, std::int64_t count) {
  const std::int64_t begin = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * N;
  if (begin + N <= count) {
    const Floats<N> a = load<N>(x + begin);
    Floats<N> b = load<N>(y + begin);
#pragma unroll
    for (int i = 0; i < N; ++i) b[i] += a[i];
    store(y + begin, b);
    return;
  }
  for (std::int64_t i = begin; i < count; ++i) y[i] = from_float<T>(to_float(x[i]) + to_float(y[i]));
}

/// Σ x² of what this thread walks: eight squares in f32 at a time, the rest in f64, so that the error does
/// not grow with the count.
template <int N>
__device__ double squares_of_thread(const float* x, std::int64_t count) {
  const std::int64_t step = std::int64_t{gridDim.x} * kThreads * N;
  double total = 0;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * N; i < count; i += step) {
    float part = 0;
    if (i + N <= count) {
      const Floats<N> v = load<N>(x + i);
#pragma unroll
      for (int k = 0; k < N; ++k) part += v[k] * v[k];
    } else {
      for (std::int64_t k = i; k < count; ++k) part += x[k] * x[k];
    }
    total += part;
  }
  return total;
}

template <int N>
__global__ void __launch_bounds__(kThreads)
    squares_kernel(const float* x, std::int64_t count, double* parts, unsigned* ticket, double* out) {
  const double mine = block_sum(squares_of_thread<N>(x, count));
  if (threadIdx.x == 0) parts[blockIdx.x] = mine;
  if (!is_last_block(ticket)) return;
  double total = 0;
  for (unsigned block = threadIdx.x; block < gridDim.x; block += kThreads) total += __ldcg(parts + block);
  total = block_sum(total);
  if (threadIdx.x == 0) *out += total;
}

}  // namespace

void CudaOps::dropout(const Dropout& args) {
  const Call call("dropout");
  const DType type = call.compute_type("x", args.x);
  const Matrix x = call.matrix("x", args.x, type, kAny, kAny);
  if (!(args.probability >= 0 && args.probability < 1)) {
    call.fail("dropout probability " + std::to_string(args.probability) + " (must be in [0, 1))");
  }
  with_type_and_step(type, rows_of_16_bytes({x}), [&]<class T, int N>() {
    launch_rows<N>(
        context_, call, x.rows, x.columns,
        DropoutRows<T>{Rows<T>(x), args.key, args.rows, args.probability, 1.0f / (1.0f - args.probability)});
  });
}

void CudaOps::add(const Add& args) {
  const Call call("add");
  const DType type = call.compute_type("y", args.y);
  const Matrix y = call.flat("y", args.y, type, kAny), x = call.flat("x", args.x, type, y.columns);
  if (y.columns == 0) return;
  with_type_and_step(type, starts_on_16_bytes({x, y}), [&]<class T, int N>() {
    add_kernel<T, N><<<blocks_for(y.columns, kThreads * N), kThreads, 0, context_.stream()>>>(
        x.as<T>(), y.as<T>(), y.columns);
    CARAVAN_CUDA_LAUNCHED();
  });
}

void CudaOps::sum_of_squares(const SumOfSquares& args) {
  const Call call("sum_of_squares");
  const Matrix x = call.flat("x", args.x, DType::f32, kAny);
  double* out = call.scalar_f64("out", args.out);
  if (x.columns == 0) return;
  unsigned* ticket = context_.keep<Ticket>().counter();
  const auto launch = [&](auto kernel, int step) {
    const unsigned blocks = resident_blocks(context_, x.columns, kThreads * step, 8);
    context_.workspace().begin(blocks * sizeof(double), 1);
    auto* parts = context_.workspace().take<double>(blocks);
    kernel<<<blocks, kThreads, 0, context_.stream()>>>(x.as<float>(), x.columns, parts, ticket, out);
    CARAVAN_CUDA_LAUNCHED();
  };
  if (starts_on_16_bytes({x})) {
    launch(squares_kernel<8>, 8);
  } else {
    launch(squares_kernel<1>, 1);
  }
}

}  // namespace caravan::cuda
