#include <string>

#include "plugins/device/cuda/attention/qk_layout.cuh"
#include "plugins/device/cuda/attention/qk_pieces.cuh"
#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/kernels/rows.cuh"

namespace caravan::cuda {
namespace {

constexpr int kThreads = 128;

/// What both directions share.
template <class T>
struct Preparation {
  Rows<T> qkv;
  Rows<T> dqkv;  ///< of the backward
  Rows<float> cos, sin, rstd;
  std::int64_t tokens;
  int heads, all_heads, width;  ///< queries; queries and keys; of a head
  TokenMap tokens_of_rows;
  float norm_eps, temperature_scale;
  double floor_scale;
};

/// Where one group of lanes works. Groups beyond the last head stay, because their warp's sums need them.
template <class T>
struct Spot {
  std::int64_t token;
  int head, position;
  bool valid;

  __device__ Spot(const Preparation<T>& p, std::int64_t group) {
    valid = group < p.tokens * p.all_heads;
    if (!valid) group = 0;
    token = group / p.all_heads;
    head = static_cast<int>(group - token * p.all_heads);
    position = static_cast<int>(p.tokens_of_rows.position(token));
  }
};

template <class T>
__device__ float temperature(const Preparation<T>& p, const Spot<T>& spot) {
  if (p.floor_scale <= 0 || spot.head >= p.heads) return 1;
  return 1 + p.temperature_scale * log1pf(static_cast<float>(floor((spot.position + 1) / p.floor_scale)));
}

/// The norm is that of the head before its rotation, which does not change it.
template <class T, class Layout>
__global__ void __launch_bounds__(kThreads) forward_kernel(Preparation<T> p) {
  const int lane = static_cast<int>(threadIdx.x) % Layout::kLanes;
  const Spot<T> spot(p,
                     std::int64_t{blockIdx.x} * (kThreads / Layout::kLanes) + threadIdx.x / Layout::kLanes);
  T* head = p.qkv.at(spot.token, spot.head * p.width);
  const bool turns = p.cos.data != nullptr;
  Head<T, Layout> x;
  Turn<Layout> turn;
  x.read(head, lane, p.width);
  if (turns) turn.read(p.cos.at(spot.position), p.sin.at(spot.position), lane, p.width);
  float factor = temperature(p, spot);
  if (p.rstd.data != nullptr) {
    const float mean = x.dot(x, lane, p.width) / static_cast<float>(p.width);
    const float rstd = 1.0f / sqrtf(mean + p.norm_eps);
    if (lane == 0 && spot.valid) *p.rstd.at(spot.token, spot.head) = rstd;
    factor *= rstd;
    x.stay_raw();
  }
#pragma unroll
  for (int k = 0; k < Layout::kPieces; ++k) {
    Floats<kHeld> v = floats_of(x.raw[k]);
    if (turns) turn.rotate(v, k, 1);
#pragma unroll
    for (int i = 0; i < kHeld; ++i) v[i] *= factor;
    if (spot.valid) Layout::write(head, lane, k, p.width, v);
  }
}

/// With y = x·rstd·temperature: dx = rstd·temperature·dy − y·(rstd/temperature)·mean(y·dy), rotated back.
template <class T, class Layout>
__global__ void __launch_bounds__(kThreads) backward_kernel(Preparation<T> p) {
  const int lane = static_cast<int>(threadIdx.x) % Layout::kLanes;
  const Spot<T> spot(p,
                     std::int64_t{blockIdx.x} * (kThreads / Layout::kLanes) + threadIdx.x / Layout::kLanes);
  T* head = p.dqkv.at(spot.token, spot.head * p.width);
  const bool norms = p.rstd.data != nullptr, turns = p.cos.data != nullptr;
  Head<T, Layout> gradient, y{};
  Turn<Layout> turn;
  float factor = temperature(p, spot), slope = 0, rstd = 1;
  gradient.read(head, lane, p.width);
  if (norms) {
    y.read(p.qkv.at(spot.token, spot.head * p.width), lane, p.width);
    rstd = *p.rstd.at(spot.token, spot.head);
  }
  if (turns) turn.read(p.cos.at(spot.position), p.sin.at(spot.position), lane, p.width);
  if (norms) {
    slope = rstd / factor * (y.dot(gradient, lane, p.width) / static_cast<float>(p.width));
    factor *= rstd;
    y.stay_raw(), gradient.stay_raw();
  }
#pragma unroll
  for (int k = 0; k < Layout::kPieces; ++k) {
    Floats<kHeld> v = floats_of(gradient.raw[k]);
    const Floats<kHeld> of_y = floats_of(y.raw[k]);
#pragma unroll
    for (int i = 0; i < kHeld; ++i) v[i] = factor * v[i] - slope * of_y[i];
    if (turns) turn.rotate(v, k, -1);
    if (spot.valid) Layout::write(head, lane, k, p.width, v);
  }
}

/// The checked views of one call, before its element type is known.
struct Checked {
  DType type;
  Matrix qkv, dqkv, cos, sin, rstd;
  bool wide;
};

Checked check(const Call& call, const QkPrepare& how, const TensorView& qkv, const TensorView& dqkv,
              const TensorView& rstd) {
  Checked c{call.compute_type("qkv", qkv), {}, {}, {}, {}, {}, false};
  c.qkv = call.matrix("qkv", qkv, c.type, kAny, (how.heads + 2 * how.kv_heads) * how.head_dim);
  const RotaryTables tables = check_rotary(call, how);
  const std::string problem = problem_with(how.tokens, tables.cos ? tables.cos.rows : how.tokens.positions());
  if (!problem.empty()) call.fail(problem);
  c.dqkv = call.optional_matrix("dqkv", dqkv, c.type, c.qkv.rows, c.qkv.columns);
  c.cos = tables.cos, c.sin = tables.sin;
  if (how.norm_eps > 0) {
    c.rstd = call.matrix("rstd", rstd, DType::f32, c.qkv.rows, how.heads + how.kv_heads);
  }
  c.wide = serves_wide_heads(how.head_dim, {c.qkv, c.dqkv}, tables);
  return c;
}

template <class T>
Preparation<T> preparation(const Checked& c, const QkPrepare& how) {
  return {Rows<T>(c.qkv),
          Rows<T>(c.dqkv),
          Rows<float>(c.cos),
          Rows<float>(c.sin),
          Rows<float>(c.rstd),
          c.qkv.rows,
          static_cast<int>(how.heads),
          static_cast<int>(how.heads + how.kv_heads),
          static_cast<int>(how.head_dim),
          how.tokens,
          how.norm_eps,
          how.temperature_scale,
          how.floor_scale};
}

}  // namespace

void CudaOps::qk_prepare_forward(const QkPrepareForward& args) {
  const Call call("qk_prepare_forward");
  const Checked c = check(call, args.how, args.qkv, {}, args.rstd);
  const std::int64_t groups = c.qkv.rows * (args.how.heads + args.how.kv_heads);
  if (groups == 0) return;
  with_layout(c.type, c.wide, args.how.head_dim, [&]<class T, class Layout>() {
    forward_kernel<T, Layout>
        <<<blocks_for(groups, kThreads / Layout::kLanes), kThreads, 0, context_.stream()>>>(
            preparation<T>(c, args.how));
    CARAVAN_CUDA_LAUNCHED();
  });
}

void CudaOps::qk_prepare_backward(const QkPrepareBackward& args) {
  const Call call("qk_prepare_backward");
  const Checked c = check(call, args.how, args.qkv, args.dqkv, args.rstd);
  if (!c.dqkv) call.fail("'dqkv' is empty (it is written)");
  const std::int64_t groups = c.qkv.rows * (args.how.heads + args.how.kv_heads);
  if (groups == 0) return;
  with_layout(c.type, c.wide, args.how.head_dim, [&]<class T, class Layout>() {
    backward_kernel<T, Layout>
        <<<blocks_for(groups, kThreads / Layout::kLanes), kThreads, 0, context_.stream()>>>(
            preparation<T>(c, args.how));
    CARAVAN_CUDA_LAUNCHED();
  });
}

}  // namespace caravan::cuda
