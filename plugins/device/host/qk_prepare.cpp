#include <fmt/format.h>

#include <cmath>

#include "host_ops.hpp"
#include "parallel.hpp"
#include "vec.hpp"
#include "view.hpp"

namespace caravan::host {
namespace {

/// What both directions share. A token's factors are spread over pairs, cos as (c0 c0 c1 c1 …) and sin as
/// (−s0 s0 −s1 s1 …), so that rotating a vector is x·cos + swap(x)·sin.
class Preparation {
 public:
  Preparation(const Call& call, const QkPrepare& how, const TensorView& qkv_view, const TensorView& rstd_view)
      : how_(how) {
    if (how.heads < 1 || how.kv_heads < 1 || how.head_dim < 1) {
      call.fail(fmt::format("heads {}, kv_heads {}, head_dim {} (each must be at least 1)", how.heads, how.kv_heads,
                            how.head_dim));
    }
    qkv = call.matrix("qkv", qkv_view, kAny, (how.heads + 2 * how.kv_heads) * how.head_dim);
    cos_ = call.optional_matrix("cos", how.cos, kAny, how.head_dim / 2);
    sin_ = call.optional_matrix("sin", how.sin, cos_ ? cos_.rows : kAny, how.head_dim / 2);
    if (!cos_ != !sin_) call.fail("one of cos and sin is given (rotation needs both)");
    if (cos_ && how.head_dim % 2 != 0) call.fail(fmt::format("head_dim {} (rotation needs pairs)", how.head_dim));
    if (how.sequence_length < 1 || how.first_position < 0) {
      call.fail(fmt::format("sequence_length {}, first_position {} (need at least 1 and 0)", how.sequence_length,
                            how.first_position));
    }
    const std::int64_t end = how.first_position + std::min(qkv.rows, how.sequence_length);
    if (cos_ && end > cos_.rows) {
      call.fail(fmt::format("position {} (the table of positions has {} rows)", end - 1, cos_.rows));
    }
    if (how.norm_eps > 0) rstd = call.matrix("rstd", rstd_view, qkv.rows, heads());
  }

  /// Query heads, then key heads.
  std::int64_t heads() const { return how_.heads + how_.kv_heads; }
  bool rotates() const { return static_cast<bool>(cos_); }
  std::int64_t position(std::int64_t t) const { return how_.first_position + t % how_.sequence_length; }

  float temperature(std::int64_t t) const {
    if (how_.floor_scale <= 0) return 1;
    const double floors = std::floor(static_cast<double>(position(t) + 1) / double{how_.floor_scale});
    return static_cast<float>(1 + how_.temperature_scale * std::log1p(floors));
  }

  /// Spreads the factors of token t; `direction` −1 rotates back.
  void spread(std::int64_t t, float direction, float* cos, float* sin) const {
    const float *c = cos_.row(position(t)), *s = sin_.row(position(t));
    for (std::int64_t i = 0; i < how_.head_dim / 2; ++i) {
      cos[2 * i] = cos[2 * i + 1] = c[i];
      sin[2 * i] = -direction * s[i];
      sin[2 * i + 1] = direction * s[i];
    }
  }

  Matrix qkv;
  Matrix rstd;

 private:
  const QkPrepare& how_;
  Matrix cos_, sin_;
};

/// x ← rotation of x
void rotate(float* x, const float* cos, const float* sin, std::int64_t width) {
  std::int64_t d = 0;
  for (; d + kLanes <= width; d += kLanes) {
    const Vec value = load(x + d);
    store(x + d, value * load(cos + d) + swap_pairs(value) * load(sin + d));
  }
  for (; d < width; d += 2) {
    const float a = x[d], b = x[d + 1];
    x[d] = a * cos[d] + b * sin[d];
    x[d + 1] = b * cos[d + 1] + a * sin[d + 1];
  }
}

float dot(const float* a, const float* b, std::int64_t width) {
  Vec sums{};
  std::int64_t d = 0;
  for (; d + kLanes <= width; d += kLanes) sums += load(a + d) * load(b + d);
  float total = sum_of(sums);
  for (; d < width; ++d) total += a[d] * b[d];
  return total;
}

void scale(float* x, float factor, std::int64_t width) {
  for (std::int64_t d = 0; d < width; ++d) x[d] *= factor;
}

}  // namespace

void HostOps::qk_prepare_forward(const QkPrepareForward& args) {
  const Call call("qk_prepare_forward");
  const Preparation p(call, args.how, args.qkv, args.rstd);
  const std::int64_t width = args.how.head_dim;
  for_ranges(p.qkv.rows, [&](std::int64_t begin, std::int64_t end, std::int64_t worker) {
    Workspace& scratch = workspace(worker);
    scratch.begin(static_cast<std::size_t>(2 * width), 2);
    float* cos = scratch.take(static_cast<std::size_t>(width));
    float* sin = scratch.take(static_cast<std::size_t>(width));
    for (std::int64_t t = begin; t < end; ++t) {
      if (p.rotates()) p.spread(t, 1, cos, sin);
      const float temperature = p.temperature(t);
      for (std::int64_t head = 0; head < p.heads(); ++head) {
        float* x = p.qkv.row(t) + head * width;
        if (p.rotates()) rotate(x, cos, sin, width);
        float factor = head < args.how.heads ? temperature : 1.0f;
        if (p.rstd) {
          const float mean = dot(x, x, width) / static_cast<float>(width);
          p.rstd.row(t)[head] = 1 / std::sqrt(mean + args.how.norm_eps);
          factor *= p.rstd.row(t)[head];
        }
        if (factor != 1) scale(x, factor, width);
      }
    }
  });
}

namespace {

/// One head of the backward before rotation: with y = x·rstd·temperature,
/// dx = rstd·temperature·dy − y·(rstd/temperature)·mean(y·dy).
void norm_backward(const float* y, float rstd, float temperature, float* dy, std::int64_t width) {
  const float mean = dot(y, dy, width) / static_cast<float>(width);
  const float along = rstd * temperature, back = rstd / temperature * mean;
  for (std::int64_t d = 0; d < width; ++d) dy[d] = along * dy[d] - back * y[d];
}

}  // namespace

void HostOps::qk_prepare_backward(const QkPrepareBackward& args) {
  const Call call("qk_prepare_backward");
  const Preparation p(call, args.how, args.qkv, args.rstd);
  const Matrix dqkv = call.matrix("dqkv", args.dqkv, p.qkv.rows, p.qkv.columns);
  const std::int64_t width = args.how.head_dim;
  for_ranges(p.qkv.rows, [&](std::int64_t begin, std::int64_t end, std::int64_t worker) {
    Workspace& scratch = workspace(worker);
    scratch.begin(static_cast<std::size_t>(2 * width), 2);
    float* cos = scratch.take(static_cast<std::size_t>(width));
    float* sin = scratch.take(static_cast<std::size_t>(width));
    for (std::int64_t t = begin; t < end; ++t) {
      if (p.rotates()) p.spread(t, -1, cos, sin);
      const float query_temperature = p.temperature(t);
      for (std::int64_t head = 0; head < p.heads(); ++head) {
        float* dx = dqkv.row(t) + head * width;
        const float temperature = head < args.how.heads ? query_temperature : 1.0f;
        if (p.rstd) {
          norm_backward(p.qkv.row(t) + head * width, p.rstd.row(t)[head], temperature, dx, width);
        } else if (temperature != 1) {
          scale(dx, temperature, width);
        }
        if (p.rotates()) rotate(dx, cos, sin, width);
      }
    }
  });
}

}  // namespace caravan::host
