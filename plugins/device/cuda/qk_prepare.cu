#include <algorithm>
#include <string>

#include "cuda_ops.hpp"
#include "rows.cuh"

namespace caravan::cuda {
namespace {

constexpr int kThreads = 256;
/// Elements of a head that one thread holds, and so the widest head: 32 lanes of 8.
constexpr int kHeld = 8;
constexpr std::int64_t kWidestHead = kWarp * kHeld;

/// What both directions share.
template <class T>
struct Preparation {
  Rows<T> qkv;
  Rows<T> dqkv;  ///< of the backward
  Rows<float> cos, sin, rstd;
  std::int64_t tokens;
  int heads, all_heads, width;  ///< queries; queries and keys; of a head
  int sequence_length, first_position;
  float norm_eps, temperature_scale;
  double floor_scale;
};

/// Eight elements of one head in a thread, as four pairs. Wide: neighbours, one access of 16 bytes (two in
/// f32). Otherwise pair `lane + lanes·k`, element by element; what lies beyond the head is 0.
template <class T, bool kWide>
struct Piece {
  Floats<kHeld> at;

  static __device__ int element(int lane, int lanes, int i) { return 2 * (lane + lanes * (i / 2)) + i % 2; }

  __device__ void read(const T* head, int lane, int lanes, int width) {
    if constexpr (kWide) {
      if (lane * kHeld < width) at = load<kHeld>(head + lane * kHeld);
    } else {
#pragma unroll
      for (int i = 0; i < kHeld; ++i) {
        const int e = element(lane, lanes, i);
        if (e < width) at[i] = to_float(head[e]);
      }
    }
  }
  __device__ void write(T* head, int lane, int lanes, int width) const {
    if constexpr (kWide) {
      if (lane * kHeld < width) store(head + lane * kHeld, at);
    } else {
#pragma unroll
      for (int i = 0; i < kHeld; ++i) {
        const int e = element(lane, lanes, i);
        if (e < width) head[e] = from_float<T>(at[i]);
      }
    }
  }
  /// By +angle, or −angle with direction −1.
  __device__ void rotate(const float* cos, const float* sin, float direction, int lane, int lanes,
                         int width) {
    Floats<kHeld / 2> c{}, s{};
    if constexpr (kWide) {
      if (lane * kHeld >= width) return;
      c = load<kHeld / 2>(cos + lane * kHeld / 2);
      s = load<kHeld / 2>(sin + lane * kHeld / 2);
    } else {
#pragma unroll
      for (int k = 0; k < kHeld / 2; ++k) {
        const int pair = lane + lanes * k;
        if (2 * pair < width) c[k] = cos[pair], s[k] = sin[pair];
      }
    }
#pragma unroll
    for (int k = 0; k < kHeld / 2; ++k) {
      const float a = at[2 * k], b = at[2 * k + 1], turn = direction * s[k];
      at[2 * k] = a * c[k] - b * turn;
      at[2 * k + 1] = a * turn + b * c[k];
    }
  }
  __device__ void scale(float factor) {
#pragma unroll
    for (int i = 0; i < kHeld; ++i) at[i] *= factor;
  }
  __device__ float dot(const Piece& other) const {
    float total = 0;
#pragma unroll
    for (int i = 0; i < kHeld; ++i) total += at[i] * other.at[i];
    return total;
  }
};

/// The sum over groups of kLanes neighbouring lanes.
template <int kLanes>
__device__ float group_sum(float x) {
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(kWholeWarp, x, step);
  return x;
}

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
    position = p.first_position + static_cast<int>(token % p.sequence_length);
  }
};

template <class T>
__device__ float temperature(const Preparation<T>& p, const Spot<T>& spot) {
  if (p.floor_scale <= 0 || spot.head >= p.heads) return 1;
  return 1 + p.temperature_scale * log1pf(static_cast<float>(floor((spot.position + 1) / p.floor_scale)));
}

template <class T, bool kWide, int kLanes>
__global__ void __launch_bounds__(kThreads) forward_kernel(Preparation<T> p) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const Spot<T> spot(p, std::int64_t{blockIdx.x} * (kThreads / kLanes) + threadIdx.x / kLanes);
  T* head = p.qkv.at(spot.token, spot.head * p.width);
  Piece<T, kWide> x{};
  if (spot.valid) x.read(head, lane, kLanes, p.width);
  if (p.cos.data != nullptr) {
    x.rotate(p.cos.at(spot.position), p.sin.at(spot.position), 1, lane, kLanes, p.width);
  }
  float factor = temperature(p, spot);
  if (p.rstd.data != nullptr) {
    const float mean = group_sum<kLanes>(x.dot(x)) / static_cast<float>(p.width);
    const float rstd = 1.0f / sqrtf(mean + p.norm_eps);
    if (lane == 0 && spot.valid) *p.rstd.at(spot.token, spot.head) = rstd;
    factor *= rstd;
  }
  x.scale(factor);
  if (spot.valid) x.write(head, lane, kLanes, p.width);
}

/// With y = x·rstd·temperature: dx = rstd·temperature·dy − y·(rstd/temperature)·mean(y·dy), rotated back.
template <class T, bool kWide, int kLanes>
__global__ void __launch_bounds__(kThreads) backward_kernel(Preparation<T> p) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const Spot<T> spot(p, std::int64_t{blockIdx.x} * (kThreads / kLanes) + threadIdx.x / kLanes);
  T* head = p.dqkv.at(spot.token, spot.head * p.width);
  Piece<T, kWide> gradient{}, y{};
  if (spot.valid) gradient.read(head, lane, kLanes, p.width);
  const float heat = temperature(p, spot);
  if (p.rstd.data != nullptr) {
    if (spot.valid) y.read(p.qkv.at(spot.token, spot.head * p.width), lane, kLanes, p.width);
    const float rstd = *p.rstd.at(spot.token, spot.head);
    const float mean = group_sum<kLanes>(y.dot(gradient)) / static_cast<float>(p.width);
    gradient.scale(rstd * heat);
    y.scale(rstd / heat * mean);
#pragma unroll
    for (int i = 0; i < kHeld; ++i) gradient.at[i] -= y.at[i];
  } else {
    gradient.scale(heat);
  }
  if (p.cos.data != nullptr) {
    gradient.rotate(p.cos.at(spot.position), p.sin.at(spot.position), -1, lane, kLanes, p.width);
  }
  if (spot.valid) gradient.write(head, lane, kLanes, p.width);
}

/// The checked views of one call, before its element type is known.
struct Checked {
  DType type;
  Matrix qkv, dqkv, cos, sin, rstd;
  bool wide;
};

void check_how(const Call& call, const QkPrepare& how, std::int64_t tokens) {
  const auto text = [](std::int64_t number) { return std::to_string(number); };
  if (how.heads < 1 || how.kv_heads < 1 || how.head_dim < 1) {
    call.fail("heads " + text(how.heads) + ", kv_heads " + text(how.kv_heads) + ", head_dim " +
              text(how.head_dim) + " (each must be at least 1)");
  }
  if (how.head_dim > kWidestHead) {
    call.fail("head_dim " + text(how.head_dim) + " (no kernel serves more than 256)");
  }
  if (how.cos.empty() != how.sin.empty()) call.fail("one of cos and sin is given (rotation needs both)");
  if (!how.cos.empty() && how.head_dim % 2 != 0) {
    call.fail("head_dim " + text(how.head_dim) + " (rotation needs pairs)");
  }
  if (how.sequence_length < 1 || how.first_position < 0) {
    call.fail("sequence_length " + text(how.sequence_length) + ", first_position " +
              text(how.first_position) + " (need at least 1 and 0)");
  }
  const std::int64_t end = how.first_position + std::min(tokens, how.sequence_length);
  if (!how.cos.empty() && end > how.cos.extent(0)) {
    call.fail("position " + text(end - 1) + " (the table of positions has " + text(how.cos.extent(0)) +
              " rows)");
  }
}

Checked check(const Call& call, const QkPrepare& how, const TensorView& qkv, const TensorView& dqkv,
              const TensorView& rstd) {
  Checked c{call.compute_type("qkv", qkv), {}, {}, {}, {}, {}, false};
  c.qkv = call.matrix("qkv", qkv, c.type, kAny, (how.heads + 2 * how.kv_heads) * how.head_dim);
  check_how(call, how, c.qkv.rows);
  c.dqkv = call.optional_matrix("dqkv", dqkv, c.type, c.qkv.rows, c.qkv.columns);
  c.cos = call.optional_matrix("cos", how.cos, DType::f32, kAny, how.head_dim / 2);
  c.sin = call.optional_matrix("sin", how.sin, DType::f32, c.cos.rows, how.head_dim / 2);
  if (how.norm_eps > 0) {
    c.rstd = call.matrix("rstd", rstd, DType::f32, c.qkv.rows, how.heads + how.kv_heads);
  }
  c.wide = how.head_dim % kHeld == 0 && rows_of_16_bytes({c.qkv, c.dqkv}) &&
           starts_on_16_bytes({c.cos, c.sin}) && c.cos.stride % 4 == 0 && c.sin.stride % 4 == 0;
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
          static_cast<int>(how.sequence_length),
          static_cast<int>(how.first_position),
          how.norm_eps,
          how.temperature_scale,
          how.floor_scale};
}

/// run.operator()<T, kWide, kLanes>() with the fewest lanes that hold a head.
template <class Run>
void with_lanes(const Checked& c, std::int64_t width, const Run& run) {
  with_type(c.type, [&]<class T>() {
    if (!c.wide) return run.template operator()<T, false, 32>();
    if (width <= 64) return run.template operator()<T, true, 8>();
    if (width <= 128) return run.template operator()<T, true, 16>();
    run.template operator()<T, true, 32>();
  });
}

}  // namespace

void CudaOps::qk_prepare_forward(const QkPrepareForward& args) {
  const Call call("qk_prepare_forward");
  const Checked c = check(call, args.how, args.qkv, {}, args.rstd);
  const std::int64_t groups = c.qkv.rows * (args.how.heads + args.how.kv_heads);
  if (groups == 0) return;
  with_lanes(c, args.how.head_dim, [&]<class T, bool kWide, int kLanes>() {
    forward_kernel<T, kWide, kLanes>
        <<<blocks_for(groups, kThreads / kLanes), kThreads, 0, context_.stream()>>>(
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
  with_lanes(c, args.how.head_dim, [&]<class T, bool kWide, int kLanes>() {
    backward_kernel<T, kWide, kLanes>
        <<<blocks_for(groups, kThreads / kLanes), kThreads, 0, context_.stream()>>>(
            preparation<T>(c, args.how));
    CARAVAN_CUDA_LAUNCHED();
  });
}

}  // namespace caravan::cuda
