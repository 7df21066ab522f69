#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "host_ops.hpp"
#include "paged_rows.hpp"
#include "vec.hpp"
#include "view.hpp"

namespace caravan::host {
namespace {

/// What both directions share. A token's factors are spread over pairs, cos as (c0 c0 c1 c1 …) and sin as
/// (−s0 s0 −s1 s1 …), so that rotating a vector is x·cos + swap(x)·sin.
class Preparation {
 public:
  Preparation(const Call& call, const QkPrepare& how, const TensorView& qkv_view, const TensorView& rstd_view)
      : Preparation(call, how, qkv_view) {
    const std::string problem = problem_with(how.tokens, cos_ ? cos_.rows : how.tokens.positions());
    if (!problem.empty()) call.fail(problem);
    if (how.norm_eps > 0) rstd = call.matrix("rstd", rstd_view, qkv.rows, heads());
  }
  /// Of rows at given positions, within the tables; norms are kept nowhere.
  Preparation(const Call& call, const QkPrepare& how, const TensorView& qkv_view, const CacheRows& rows)
      : Preparation(call, how, qkv_view) {
    positions_ = call.indices("positions", rows.positions, qkv.rows);
    slots_ = call.indices("slots", rows.slots, qkv.rows);
    for (std::int64_t t = 0; t < qkv.rows; ++t)
      if (cos_ && !is_padding(t) && (positions_[t] < 0 || positions_[t] >= cos_.rows))
        call.fail(fmt::format("position {} (the table of positions has {} rows)", positions_[t], cos_.rows));
  }

  /// Query heads, then key heads.
  std::int64_t heads() const { return how_.heads + how_.kv_heads; }
  bool rotates() const { return static_cast<bool>(cos_); }
  bool norms() const { return how_.norm_eps > 0; }
  bool is_padding(std::int64_t t) const { return slots_ && slots_[t] < 0; }
  std::int64_t position(std::int64_t t) const { return positions_ ? positions_[t] : how_.tokens.position(t); }

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
  Preparation(const Call& call, const QkPrepare& how, const TensorView& qkv_view) : how_(how) {
    if (const std::string problem = problem_with(how); !problem.empty()) call.fail(problem);
    qkv = call.matrix("qkv", qkv_view, kAny, (how.heads + 2 * how.kv_heads) * how.head_dim);
    cos_ = call.optional_matrix("cos", how.cos, kAny, how.head_dim / 2);
    sin_ = call.optional_matrix("sin", how.sin, cos_ ? cos_.rows : kAny, how.head_dim / 2);
    if (!cos_ != !sin_) call.fail("one of cos and sin is given (rotation needs both)");
    if (cos_ && how.head_dim % 2 != 0)
      call.fail(fmt::format("head_dim {} (rotation needs pairs)", how.head_dim));
  }

  const QkPrepare& how_;
  Matrix cos_, sin_;
  const std::int32_t *positions_ = nullptr, *slots_ = nullptr;
};

/// One head in registers, padded with zeros to whole vectors.
template <int kVectors>
struct Head {
  static constexpr int kWidth = kVectors * kLanes;
  Vec part[kVectors];

  CARAVAN_INLINE void read(const float* x, std::int64_t width) {
    alignas(64) float padded[kWidth];
    if (width < kWidth) {
      std::fill(std::copy_n(x, width, padded), padded + kWidth, 0.0f);
      x = padded;
    }
#pragma GCC unroll 16
    for (int n = 0; n < kVectors; ++n) part[n] = load(x + n * kLanes);
  }
  CARAVAN_INLINE void write(float* x, std::int64_t width) const {
    alignas(64) float padded[kWidth];
    float* to = width < kWidth ? padded : x;
#pragma GCC unroll 16
    for (int n = 0; n < kVectors; ++n) store(to + n * kLanes, part[n]);
    if (width < kWidth) std::copy_n(padded, width, x);
  }
  CARAVAN_INLINE void rotate(const float* cos, const float* sin) {
#pragma GCC unroll 16
    for (int n = 0; n < kVectors; ++n) {
      part[n] = part[n] * load(cos + n * kLanes) + swap_pairs(part[n]) * load(sin + n * kLanes);
    }
  }
  CARAVAN_INLINE void scale(float factor) {
#pragma GCC unroll 16
    for (int n = 0; n < kVectors; ++n) part[n] *= broadcast(factor);
  }
  CARAVAN_INLINE void subtract(float factor, const Head& other) {
#pragma GCC unroll 16
    for (int n = 0; n < kVectors; ++n) part[n] -= broadcast(factor) * other.part[n];
  }
  CARAVAN_INLINE float dot(const Head& other) const {
    Vec sums{};
#pragma GCC unroll 16
    for (int n = 0; n < kVectors; ++n) sums += part[n] * other.part[n];
    return sum_of(sums);
  }
};

constexpr int kMostVectors = 16;
/// Factors of one token, spread over the widest head.
struct Factors {
  alignas(64) float cos[kMostVectors * kLanes] = {};
  alignas(64) float sin[kMostVectors * kLanes] = {};
};

template <int kVectors>
void forward_rows(const Preparation& p, const QkPrepare& how, std::int64_t begin, std::int64_t end) {
  const std::int64_t width = how.head_dim;
  Factors factors;
  for (std::int64_t t = begin; t < end; ++t) {
    if (p.is_padding(t)) continue;
    if (p.rotates()) p.spread(t, 1, factors.cos, factors.sin);
    const float temperature = p.temperature(t);
    for (std::int64_t head = 0; head < p.heads(); ++head) {
      float* at = p.qkv.row(t) + head * width;
      Head<kVectors> x;
      x.read(at, width);
      if (p.rotates()) x.rotate(factors.cos, factors.sin);
      float factor = head < how.heads ? temperature : 1.0f;
      if (p.norms()) {
        const float rstd = 1 / std::sqrt(x.dot(x) / static_cast<float>(width) + how.norm_eps);
        if (p.rstd) p.rstd.row(t)[head] = rstd;
        factor *= rstd;
      }
      x.scale(factor);
      x.write(at, width);
    }
  }
}

/// With y = x·rstd·temperature: dx = rstd·temperature·dy − y·(rstd/temperature)·mean(y·dy), rotated back.
template <int kVectors>
void backward_rows(const Preparation& p, const QkPrepare& how, const Matrix& dqkv, std::int64_t begin,
                   std::int64_t end) {
  const std::int64_t width = how.head_dim;
  Factors factors;
  for (std::int64_t t = begin; t < end; ++t) {
    if (p.rotates()) p.spread(t, -1, factors.cos, factors.sin);
    const float query_temperature = p.temperature(t);
    for (std::int64_t head = 0; head < p.heads(); ++head) {
      float* at = dqkv.row(t) + head * width;
      const float temperature = head < how.heads ? query_temperature : 1.0f;
      const float rstd = p.rstd ? p.rstd.row(t)[head] : 1.0f;
      Head<kVectors> gradient;
      gradient.read(at, width);
      if (p.rstd) {
        Head<kVectors> y;
        y.read(p.qkv.row(t) + head * width, width);
        const float mean = y.dot(gradient) / static_cast<float>(width);
        gradient.scale(rstd * temperature);
        gradient.subtract(rstd / temperature * mean, y);
      } else {
        gradient.scale(temperature);
      }
      if (p.rotates()) gradient.rotate(factors.cos, factors.sin);
      gradient.write(at, width);
    }
  }
}

/// run.operator()<n>() for the n vectors that hold a head of `width`, at most kMostVectors.
template <class Run>
void with_vectors(std::int64_t width, const Run& run) {
  if (width <= kLanes) return run.template operator()<1>();
  if (width <= 2 * kLanes) return run.template operator()<2>();
  if (width <= 4 * kLanes) return run.template operator()<4>();
  if (width <= 8 * kLanes) return run.template operator()<8>();
  run.template operator()<kMostVectors>();
}

bool is_too_wide(const QkPrepare& how) {
  return how.head_dim > kMostVectors * kLanes;
}

}  // namespace

void HostOps::qk_prepare_forward(const QkPrepareForward& args) {
  const Call call("qk_prepare_forward");
  const Preparation p(call, args.how, args.qkv, args.rstd);
  if (is_too_wide(args.how)) return ReferenceOps::qk_prepare_forward(args);
  team_.for_ranges(p.qkv.rows, 4 * p.qkv.columns, [&](std::int64_t begin, std::int64_t end, std::int64_t) {
    with_vectors(args.how.head_dim, [&]<int kVectors>() { forward_rows<kVectors>(p, args.how, begin, end); });
  });
}

void HostOps::qk_prepare_cached(const QkPrepareCached& args) {
  const Call call("qk_prepare_cached");
  const QkPrepare& how = args.how;
  const Preparation p(call, how, args.qkv, args.rows);
  const PagedRows cached(call, args.rows, args.cache, p.qkv.rows);
  cached.check_heads(call, how.kv_heads, how.head_dim);
  if (is_too_wide(how)) return ReferenceOps::qk_prepare_cached(args);
  team_.for_ranges(p.qkv.rows, 4 * p.qkv.columns, [&](std::int64_t begin, std::int64_t end, std::int64_t) {
    with_vectors(how.head_dim, [&]<int kVectors>() { forward_rows<kVectors>(p, how, begin, end); });
  });
  const std::int64_t width = how.kv_heads * how.head_dim;
  for (std::int64_t t = 0; t < p.qkv.rows; ++t) {
    if (cached.is_padding(t)) continue;
    const float* keys = p.qkv.row(t) + how.heads * how.head_dim;
    std::copy_n(keys, width, cached.key(t, p.position(t)));
    std::copy_n(keys + width, width, cached.value(t, p.position(t)));
  }
}

void HostOps::qk_prepare_backward(const QkPrepareBackward& args) {
  const Call call("qk_prepare_backward");
  const Preparation p(call, args.how, args.qkv, args.rstd);
  const Matrix dqkv = call.matrix("dqkv", args.dqkv, p.qkv.rows, p.qkv.columns);
  if (is_too_wide(args.how)) return ReferenceOps::qk_prepare_backward(args);
  team_.for_ranges(p.qkv.rows, 4 * p.qkv.columns, [&](std::int64_t begin, std::int64_t end, std::int64_t) {
    with_vectors(args.how.head_dim,
                 [&]<int kVectors>() { backward_rows<kVectors>(p, args.how, dqkv, begin, end); });
  });
}

OperatorPath HostOps::path_of(const QkPrepareForward& args) const {
  return is_too_wide(args.how) ? ReferenceOps::usual_path() : usual_path();
}

OperatorPath HostOps::path_of(const QkPrepareBackward& args) const {
  return is_too_wide(args.how) ? ReferenceOps::usual_path() : usual_path();
}

}  // namespace caravan::host
