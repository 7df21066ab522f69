#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/kernels/rows.cuh"
#include "plugins/device/cuda/kernels/swiglu.cuh"

namespace caravan::cuda {
namespace {

template <class T>
struct SwigluRows {
  Rows<T> gate_up, out;
  std::int64_t width;

  template <int N>
  __device__ void at(std::int64_t row, std::int64_t column) const {
    const Floats<N> gate = load<N>(gate_up.at(row, column)), up = load<N>(gate_up.at(row, width + column));
    Floats<N> result;
#pragma unroll
    for (int i = 0; i < N; ++i) result[i] = swiglu(gate[i], up[i]);
    store(out.at(row, column), result);
  }
};

template <class T>
struct SwigluBackwardRows {
  Rows<T> gate_up, dout, dgate_up;
  std::int64_t width;

  template <int N>
  __device__ void at(std::int64_t row, std::int64_t column) const {
    const Floats<N> gate = load<N>(gate_up.at(row, column)), up = load<N>(gate_up.at(row, width + column)),
                    dy = load<N>(dout.at(row, column));
    Floats<N> dgate, dup;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const SwigluGradient gradient = swiglu_gradient(gate[i], up[i], dy[i]);
      dgate[i] = gradient.gate;
      dup[i] = gradient.up;
    }
    store(dgate_up.at(row, column), dgate);
    store(dgate_up.at(row, width + column), dup);
  }
};

constexpr float kRootHalf = 0.70710678118654752440f;

template <class T>
struct GeluRows {
  Rows<T> x, out;

  template <int N>
  __device__ void at(std::int64_t row, std::int64_t column) const {
    Floats<N> v = load<N>(x.at(row, column));
#pragma unroll
    for (int i = 0; i < N; ++i) v[i] = 0.5f * v[i] * (1.0f + erff(v[i] * kRootHalf));
    store(out.at(row, column), v);
  }
};

template <class T>
struct GeluBackwardRows {
  Rows<T> x, dout, dx;

  template <int N>
  __device__ void at(std::int64_t row, std::int64_t column) const {
    constexpr float kDensityAtZero = 0.39894228040143267794f;  // 1/sqrt(2π)
    const Floats<N> v = load<N>(x.at(row, column)), dy = load<N>(dout.at(row, column));
    Floats<N> result;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float below = 0.5f + 0.5f * erff(v[i] * kRootHalf);
      result[i] = dy[i] * (below + v[i] * kDensityAtZero * __expf(-0.5f * v[i] * v[i]));
    }
    store(dx.at(row, column), result);
  }
};

/// gate_up [R, 2F] whose halves are read by columns of F: both must start on 16 bytes.
bool wide_halves(const Matrix& whole, std::int64_t width, const Matrix& half) {
  return width % 8 == 0 && rows_of_16_bytes({whole, half});
}

}  // namespace

void CudaOps::swiglu_forward(const SwigluForward& args) {
  const Call call("swiglu_forward");
  const DType type = call.compute_type("gate_up", args.gate_up);
  const Matrix out = call.matrix("out", args.out, type, kAny, kAny);
  const Matrix gate_up = call.matrix("gate_up", args.gate_up, type, out.rows, 2 * out.columns);
  with_type_and_step(type, wide_halves(gate_up, out.columns, out), [&]<class T, int N>() {
    launch_rows<N>(context_, call, out.rows, out.columns,
                   SwigluRows<T>{Rows<T>(gate_up), Rows<T>(out), out.columns});
  });
}

void CudaOps::swiglu_backward(const SwigluBackward& args) {
  const Call call("swiglu_backward");
  const DType type = call.compute_type("gate_up", args.gate_up);
  const Matrix dout = call.matrix("dout", args.dout, type, kAny, kAny);
  const Matrix gate_up = call.matrix("gate_up", args.gate_up, type, dout.rows, 2 * dout.columns);
  const Matrix dgate_up = call.matrix("dgate_up", args.dgate_up, type, dout.rows, 2 * dout.columns);
  const bool wide = wide_halves(gate_up, dout.columns, dout) && rows_of_16_bytes({dgate_up});
  with_type_and_step(type, wide, [&]<class T, int N>() {
    launch_rows<N>(context_, call, dout.rows, dout.columns,
                   SwigluBackwardRows<T>{Rows<T>(gate_up), Rows<T>(dout), Rows<T>(dgate_up), dout.columns});
  });
}

void CudaOps::gelu_forward(const GeluForward& args) {
  const Call call("gelu_forward");
  const DType type = call.compute_type("x", args.x);
  const Matrix x = call.matrix("x", args.x, type, kAny, kAny);
  const Matrix out = call.matrix("out", args.out, type, x.rows, x.columns);
  with_type_and_step(type, rows_of_16_bytes({x, out}), [&]<class T, int N>() {
    launch_rows<N>(context_, call, x.rows, x.columns, GeluRows<T>{Rows<T>(x), Rows<T>(out)});
  });
}

void CudaOps::gelu_backward(const GeluBackward& args) {
  const Call call("gelu_backward");
  const DType type = call.compute_type("x", args.x);
  const Matrix x = call.matrix("x", args.x, type, kAny, kAny);
  const Matrix dout = call.matrix("dout", args.dout, type, x.rows, x.columns);
  const Matrix dx = call.matrix("dx", args.dx, type, x.rows, x.columns);
  with_type_and_step(type, rows_of_16_bytes({x, dout, dx}), [&]<class T, int N>() {
    launch_rows<N>(context_, call, x.rows, x.columns,
                   GeluBackwardRows<T>{Rows<T>(x), Rows<T>(dout), Rows<T>(dx)});
  });
}

}  // namespace caravan::cuda
