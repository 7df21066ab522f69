// The rules beside AdamW's, and what rules that see whole matrices are made of. One element a thread: its
// loads are adjacent to its neighbours', and the memory sets the time.
#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/device/view.hpp"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/kernels/vec.cuh"

namespace caravan::cuda {
namespace {

constexpr int kThreads = 256;

/// Where a rule reads its scale and whether it may go on; null: 1, and yes.
struct Gate {
  const float* scale;
  const float* proceed;

  __device__ float value() const { return scale != nullptr ? __ldg(scale) : 1.0f; }
  __device__ bool is_shut(float value) const {
    return isnan(value) || (proceed != nullptr && isnan(__ldg(proceed)));
  }
};

template <class Rule>
__global__ void __launch_bounds__(kThreads) rule_kernel(Rule rule, Gate gate, std::int64_t count) {
  const float scale = gate.value();
  if (gate.is_shut(scale)) return;
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < count) rule.at(i, scale);
}

template <class Rule>
void launch(const Context& context, const Rule& rule, const Gate& gate, std::int64_t count) {
  if (count == 0) return;
  rule_kernel<<<blocks_for(count, kThreads), kThreads, 0, context.stream()>>>(rule, gate, count);
  CARAVAN_CUDA_LAUNCHED();
}

/// What a rule writes: the master and its copy in the compute type.
template <class W>
struct Updated {
  float* master;
  W* weight;  ///< or null

  __device__ void set(std::int64_t i, float value) const {
    master[i] = value;
    if (weight != nullptr) weight[i] = from_float<W>(value);
  }
};

template <class W>
struct Sgd {
  Updated<W> to;
  const float* grad;
  float* buffer;  ///< or null
  float lr, momentum, decay;
  float own, of_buffer;  ///< weights of g and of the buffer in the step

  __device__ void at(std::int64_t i, float scale) const {
    const float g = scale * grad[i] + decay * to.master[i];
    if (buffer == nullptr) return to.set(i, to.master[i] - lr * g);
    const float b = momentum * buffer[i] + g;
    buffer[i] = b;
    to.set(i, to.master[i] - lr * (own * g + of_buffer * b));
  }
};

template <class W>
struct Lion {
  Updated<W> to;
  const float* grad;
  float* exp_avg;
  float lr, keep, beta1, rest1, beta2, rest2;

  __device__ void at(std::int64_t i, float scale) const {
    const float g = scale * grad[i], m = exp_avg[i], c = beta1 * m + rest1 * g;
    const float direction = static_cast<float>(c > 0) - static_cast<float>(c < 0);
    to.set(i, keep * to.master[i] - lr * direction);
    exp_avg[i] = beta2 * m + rest2 * g;
  }
};

struct Momentum {
  float* grad;
  float* buffer;
  float beta, rest, of_buffer, own;

  __device__ void at(std::int64_t i, float scale) const {
    const float g = rest * scale * grad[i], b = beta * buffer[i] + g;
    buffer[i] = b;
    grad[i] = of_buffer * b + own * g;
  }
};

struct Sum {
  const float* x;
  const float* y;  ///< or null
  float* out;
  double a, b;
  const double* squares;  ///< or null
  double floor;

  __device__ void at(std::int64_t i, float) const {
    const double by = squares != nullptr ? fmax(sqrt(__ldg(squares)), floor) : 1.0;
    const float first = static_cast<float>(a / by) * x[i];
    out[i] = y != nullptr ? first + static_cast<float>(b / by) * y[i] : first;
  }
};

/// Calls launch_with(updated) for the type of the copy.
template <class Launch>
void with_updated(const Call& call, const Matrix& master, const TensorView& weight,
                  const Launch& launch_with) {
  const DType type = weight.empty() ? DType::f32 : call.compute_type("weight", weight);
  const Matrix copy = weight.empty() ? Matrix{} : call.flat("weight", weight, type, master.columns);
  with_type(type, [&]<class W>() { launch_with(Updated<W>{master.as<float>(), copy.as<W>()}); });
}

}  // namespace

void CudaOps::sgd_step(const SgdStep& args) {
  const Call call("sgd_step");
  const Matrix master = call.flat("master", args.master, DType::f32, kAny);
  const std::int64_t count = master.columns;
  const Matrix grad = call.flat("grad", args.grad, DType::f32, count);
  const Matrix buffer = args.momentum_buffer.empty()
                            ? Matrix{}
                            : call.flat("momentum_buffer", args.momentum_buffer, DType::f32, count);
  const Gate gate{call.optional_floats("gradient_scale", args.gradient_scale, 1),
                  call.optional_floats("proceed", args.proceed, 1)};
  const auto momentum = static_cast<float>(args.momentum);
  with_updated(call, master, args.weight, [&]<class W>(const Updated<W>& to) {
    launch(context_,
           Sgd<W>{to, grad.as<float>(), buffer.as<float>(), static_cast<float>(args.lr), momentum,
                  static_cast<float>(args.weight_decay), args.nesterov ? 1.0f : 0.0f,
                  args.nesterov ? momentum : 1.0f},
           gate, count);
  });
}

void CudaOps::lion_step(const LionStep& args) {
  const Call call("lion_step");
  const Matrix master = call.flat("master", args.master, DType::f32, kAny);
  const std::int64_t count = master.columns;
  const Matrix grad = call.flat("grad", args.grad, DType::f32, count),
               exp_avg = call.flat("exp_avg", args.exp_avg, DType::f32, count);
  const Gate gate{call.floats("gradient_scale", args.gradient_scale, 1), nullptr};
  with_updated(call, master, args.weight, [&]<class W>(const Updated<W>& to) {
    launch(context_,
           Lion<W>{to, grad.as<float>(), exp_avg.as<float>(), static_cast<float>(args.lr),
                   static_cast<float>(1 - args.lr * args.weight_decay), static_cast<float>(args.beta1),
                   static_cast<float>(1 - args.beta1), static_cast<float>(args.beta2),
                   static_cast<float>(1 - args.beta2)},
           gate, count);
  });
}

void CudaOps::momentum_step(const MomentumStep& args) {
  const Call call("momentum_step");
  const Matrix grad = call.flat("grad", args.grad, DType::f32, kAny);
  const Matrix buffer = call.flat("momentum_buffer", args.momentum_buffer, DType::f32, grad.columns);
  const Gate gate{call.floats("gradient_scale", args.gradient_scale, 1), nullptr};
  const auto beta = static_cast<float>(args.beta);
  launch(context_,
         Momentum{grad.as<float>(), buffer.as<float>(), beta, static_cast<float>(1 - args.beta),
                  args.nesterov ? beta : 1.0f, args.nesterov ? 1.0f : 0.0f},
         gate, grad.columns);
}

void CudaOps::weighted_sum(const WeightedSum& args) {
  const Call call("weighted_sum");
  const Matrix x = call.flat("x", args.x, DType::f32, kAny);
  const Matrix y = args.y.empty() ? Matrix{} : call.flat("y", args.y, DType::f32, x.columns);
  const Matrix out = call.flat("out", args.out, DType::f32, x.columns);
  const double* squares = args.squares.empty() ? nullptr : call.scalar_f64("squares", args.squares);
  launch(context_, Sum{x.as<float>(), y.as<float>(), out.as<float>(), args.a, args.b, squares, args.floor},
         Gate{nullptr, nullptr}, x.columns);
}

}  // namespace caravan::cuda
