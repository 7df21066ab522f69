#include <string>

#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/device/view.hpp"
#include "plugins/device/cuda/kernels/follow.cuh"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/kernels/rows.cuh"

// Rows to their experts and back. A warp moves a row; what is summed is summed by one warp in the order of k.
namespace caravan::cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * static_cast<int>(kWarp);
constexpr int kMost = 8;  // choices of a token that are summed in registers

/// The row (or choice, or token) that this warp has.
__device__ std::int64_t warp_index() {
  return std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
}

/// The steps of N columns that this lane has. at() is a column that exists also where has() is false, so that
/// all loads go out without a branch between them.
template <int N, int kSteps = 4>
struct Round {
  int first, columns;
  __device__ int column(int i) const {
    return first + (i * static_cast<int>(kWarp) + threadIdx.x % kWarp) * N;
  }
  __device__ int at(int i) const { return min(column(i), columns - N); }
  __device__ bool has(int i) const { return column(i) < columns; }
};

/// visit(round) until all columns have been visited by some lane; as often on every lane.
template <int N, int kSteps = 4, class Visit>
__device__ void for_columns(int columns, const Visit& visit) {
  constexpr int kColumns = kSteps * N * static_cast<int>(kWarp);
  for (int first = 0; first < columns; first += kColumns) visit(Round<N, kSteps>{first, columns});
}

/// to[i] = step i of the round, as it lies in memory: half the registers of floats, so twice the warps.
template <class T, int N, int kSteps>
__device__ void load_round(Raw<T, N> (&to)[kSteps], const T* from, const Round<N, kSteps>& round) {
#pragma unroll
  for (int i = 0; i < kSteps; ++i) to[i] = load_raw<N>(from + round.at(i));
}

struct Scatter {
  const std::int32_t* choice_of;
  Rows<float> weights;
  int rows, columns, top_k;
};

template <class T, int N>
__global__ void __launch_bounds__(kThreads) permute_kernel(Scatter s, Rows<T> x, Rows<T> out) {
  let_next_kernel_begin();
  wait_for_kernel_before();
  const std::int64_t row = warp_index();
  if (row >= s.rows) return;
  const int choice = s.choice_of[row], token = choice / s.top_k;
  if (choice < 0) return;
  const float weight = s.weights.data ? *s.weights.at(token, choice - token * s.top_k) : 1.0f;
  const T* from = x.at(token);
  T* to = out.at(row);
  for_columns<N>(s.columns, [&](const Round<N>& round) {
    Raw<T, N> raw[4];
    load_round(raw, from, round);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      Floats<N> values = floats_of(raw[i]);
#pragma unroll
      for (int j = 0; j < N; ++j) values[j] *= weight;
      if (round.has(i)) store<N>(to + round.at(i), values);
    }
  });
}

struct Choices {
  Rows<std::int32_t> row_of;
  Rows<float> weights, dweights;
  int tokens, top_k, columns;
};

template <int N>
__device__ float dot(const Floats<N>& a, const Floats<N>& b) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < N; ++i) sum += a[i] * b[i];
  return sum;
}

/// out[t] = base[t] + Σ_k w·rows[row_of[t, k]]; with `x` also dweights[t, k] = x[t]·rows[row_of[t, k]].
/// `base` may be `out`.
template <class T, int N, int kSlots, int kSteps>
__global__ void __launch_bounds__(kThreads, kSlots > 1 || kSteps > 3 ? 2 : 3)
    gather_kernel(Choices s, Rows<T> rows, Rows<T> base, Rows<T> x, Rows<T> out) {
  let_next_kernel_begin();
  wait_for_kernel_before();
  const std::int64_t token = warp_index();
  if (token >= s.tokens) return;
  const T* from[kSlots];
  float weight[kSlots], dots[kSlots] = {};
#pragma unroll
  for (int k = 0; k < kSlots; ++k) {
    if (kSlots > 1 && k >= s.top_k) break;
    const int row = *s.row_of.at(token, k);
    from[k] = row < 0 ? nullptr : rows.at(row);
    weight[k] = s.weights.data ? *s.weights.at(token, k) : 1.0f;
  }
  for_columns<N, kSteps>(s.columns, [&](const Round<N, kSteps>& round) {
    Floats<N> sum[kSteps]{};
    Raw<T, N> before[kSteps]{}, scale[kSteps]{}, values[kSteps];
    if (base.data) load_round(before, static_cast<const T*>(base.at(token)), round);
    if (x.data) load_round(scale, static_cast<const T*>(x.at(token)), round);
#pragma unroll
    for (int k = 0; k < kSlots; ++k) {
      if (kSlots > 1 && k >= s.top_k) break;
      if (from[k]) load_round(values, from[k], round);
#pragma unroll
      for (int i = 0; i < kSteps; ++i) {
        if (k == 0) sum[i] = floats_of(before[i]);
        if (!from[k]) continue;
        const Floats<N> value = floats_of(values[i]);
#pragma unroll
        for (int j = 0; j < N; ++j) sum[i][j] += weight[k] * value[j];
        if (x.data && round.has(i)) dots[k] += dot(floats_of(scale[i]), value);
      }
    }
#pragma unroll
    for (int i = 0; i < kSteps; ++i) {
      if (round.has(i)) store<N>(out.at(token, round.at(i)), sum[i]);
    }
  });
  if (!x.data) return;
#pragma unroll
  for (int k = 0; k < kSlots; ++k) {
    if (kSlots > 1 && k >= s.top_k) break;
    const float total = warp_sum(dots[k]);
    if (threadIdx.x % kWarp == 0) *s.dweights.at(token, k) = total;
  }
}

/// One warp a choice: drows[row_of[t, k]] = w·dy[t]; with `rows` also dweights[t, k] = dy[t]·rows[row_of[t,
/// k]].
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    scatter_kernel(Choices s, Rows<T> dy, Rows<T> rows, Rows<T> drows) {
  const std::int64_t choice = warp_index();
  if (choice >= std::int64_t{s.tokens} * s.top_k) return;
  const int token = static_cast<int>(choice / s.top_k),
            k = static_cast<int>(choice - std::int64_t{token} * s.top_k);
  const std::int64_t row = *s.row_of.at(token, k);
  if (row < 0) {
    if (rows.data && threadIdx.x % kWarp == 0) *s.dweights.at(token, k) = 0;
    return;
  }
  const float weight = s.weights.data ? *s.weights.at(token, k) : 1.0f;
  const T *from = dy.at(token), *scales = rows.at(row);
  float total = 0;
  for_columns<N>(s.columns, [&](const Round<N>& round) {
    Raw<T, N> gradients[4], values[4];
    load_round(gradients, from, round);
    if (rows.data) load_round(values, scales, round);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      Floats<N> gradient = floats_of(gradients[i]);
      if (rows.data && round.has(i)) total += dot(gradient, floats_of(values[i]));
#pragma unroll
      for (int j = 0; j < N; ++j) gradient[j] *= weight;
      if (round.has(i)) store<N>(drows.at(row, round.at(i)), gradient);
    }
  });
  if (!rows.data) return;
  total = warp_sum(total);
  if (threadIdx.x % kWarp == 0) *s.dweights.at(token, k) = total;
}

/// The checked indices and weights of tokens [T, K].
struct CheckedChoices {
  Matrix row_of, weights, dweights;

  CheckedChoices(const Call& call, const TensorView& rows, const TensorView& weight,
                 const TensorView& dweight) {
    row_of = call.matrix("row_of", rows, DType::i32, kAny, kAny);
    if (row_of.columns > kMost) call.fail(std::to_string(row_of.columns) + " rows a token (at most 8)");
    weights = call.optional_matrix("weights", weight, DType::f32, row_of.rows, row_of.columns);
    if (weights)
      dweights = call.optional_matrix("dweights", dweight, DType::f32, row_of.rows, row_of.columns);
  }
  Choices with(std::int64_t columns) const {
    return {Rows<std::int32_t>(row_of),
            Rows<float>(weights),
            Rows<float>(dweights),
            static_cast<int>(row_of.rows),
            static_cast<int>(row_of.columns),
            static_cast<int>(columns)};
  }
  std::int64_t count() const { return row_of.rows * row_of.columns; }
};

struct Gather {
  Matrix rows, base, x, out;
};

void gather(const Context& context, const CheckedChoices& choices, const Gather& g) {
  if (g.out.rows == 0 || g.out.columns == 0) return;
  const bool wide = rows_of_16_bytes({g.rows, g.base, g.x, g.out});
  const unsigned blocks = blocks_for(g.out.rows, kWarps);
  with_type_and_step(g.out.dtype, wide, [&]<class T, int N>() {
    // A round of three or four steps, whichever leaves fewer lanes without a column; with more choices as
    // many loads in flight as registers serve.
    constexpr int kRound = 3 * N * static_cast<int>(kWarp);
    const auto of_one = g.out.columns % kRound == 0 ? gather_kernel<T, N, 1, 3> : gather_kernel<T, N, 1, 4>;
    const auto kernel = choices.row_of.columns == 1 ? of_one : gather_kernel<T, N, kMost, 2>;
    launch_following(kernel, dim3(blocks), dim3(kThreads), context.stream(), 0, choices.with(g.out.columns),
                     Rows<T>(g.rows), Rows<T>(g.base), Rows<T>(g.x), Rows<T>(g.out));
  });
}

}  // namespace

void CudaOps::permute_forward(const PermuteForward& args) {
  const Call call("permute_forward");
  const DType type = call.compute_type("x", args.x);
  const Matrix x = call.matrix("x", args.x, type, kAny, kAny);
  const Matrix out = call.matrix("out", args.out, type, kAny, x.columns);
  const Matrix weights = call.optional_matrix("weights", args.weights, DType::f32, x.rows, args.top_k);
  if (args.top_k < 1) call.fail("top_k " + std::to_string(args.top_k) + " (at least 1)");
  const Scatter scatter{call.indices("choice_of", args.choice_of, out.rows), Rows<float>(weights),
                        static_cast<int>(out.rows), static_cast<int>(out.columns),
                        static_cast<int>(args.top_k)};
  if (out.rows == 0 || out.columns == 0) return;
  with_type_and_step(type, rows_of_16_bytes({x, out}), [&]<class T, int N>() {
    launch_following(permute_kernel<T, N>, dim3(blocks_for(out.rows, kWarps)), dim3(kThreads),
                     context_.stream(), 0, scatter, Rows<T>(x), Rows<T>(out));
  });
}

void CudaOps::permute_backward(const PermuteBackward& args) {
  const Call call("permute_backward");
  const DType type = call.compute_type("dout", args.dout);
  const CheckedChoices choices(call, args.row_of, args.weights, args.dweights);
  const Matrix dx = call.matrix("dx", args.dx, type, choices.row_of.rows, kAny);
  const Matrix dout = call.matrix("dout", args.dout, type, kAny, dx.columns);
  const Matrix x = choices.dweights ? call.matrix("x", args.x, type, dx.rows, dx.columns) : Matrix{};
  gather(context_, choices, {dout, args.accumulate ? dx : Matrix{}, x, dx});
}

void CudaOps::combine_forward(const CombineForward& args) {
  const Call call("combine_forward");
  const DType type = call.compute_type("y", args.y);
  const CheckedChoices choices(call, args.row_of, args.weights, {});
  const Matrix y = call.matrix("y", args.y, type, choices.row_of.rows, kAny);
  const Matrix rows = call.matrix("rows", args.rows, type, kAny, y.columns);
  gather(context_, choices, {rows, call.optional_matrix("base", args.base, type, y.rows, y.columns), {}, y});
}

void CudaOps::combine_backward(const CombineBackward& args) {
  const Call call("combine_backward");
  const DType type = call.compute_type("dy", args.dy);
  const CheckedChoices choices(call, args.row_of, args.weights, args.dweights);
  const Matrix dy = call.matrix("dy", args.dy, type, choices.row_of.rows, kAny);
  const Matrix drows = call.matrix("drows", args.drows, type, kAny, dy.columns);
  const Matrix rows =
      choices.dweights ? call.matrix("rows", args.rows, type, drows.rows, dy.columns) : Matrix{};
  if (choices.count() == 0 || dy.columns == 0) return;
  with_type_and_step(type, rows_of_16_bytes({dy, rows, drows}), [&]<class T, int N>() {
    scatter_kernel<T, N><<<blocks_for(choices.count(), kWarps), kThreads, 0, context_.stream()>>>(
        choices.with(dy.columns), Rows<T>(dy), Rows<T>(rows), Rows<T>(drows));
  });
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace caravan::cuda
