#include "core/ops/reference/head.hpp"

#include <fmt/format.h>

#include <cmath>

#include "caravan/ops/loss.hpp"
#include "core/ops/reference/matrix_product.hpp"

namespace caravan::reference {

void check_labels(const Call& call, const Vector<std::int32_t>& labels, const IdRange& all) {
  for (std::int64_t t = 0; t < labels.extent(0); ++t) {
    if (labels(t) == kIgnoredLabel || all.has(labels(t))) continue;
    call.fail(fmt::format("label {} of token {} (the vocabulary has {} entries{})", labels(t), t, all.count,
                          all.from_where()));
  }
}

Logits logits_of(const Head& head, std::int64_t t) {
  Logits z(head.w.extent(0));
  for (std::size_t v = 0; v < z.size(); ++v) {
    z[v] = output_element(head.x, head.w, t, static_cast<std::int64_t>(v)) + (head.bias ? head.bias(v) : 0.0);
  }
  return z;
}

void to_gradient(Logits& z, double lse, std::int64_t label, double scale) {
  for (double& value : z) value = scale * std::exp(value - lse);
  if (has_column(z, label)) z[label] -= scale;
}

HeadGradients::HeadGradients(const Head& head)
    : head_(head),
      dw_(head.dw ? head.w.extent(0) * head.w.extent(1) : 0, 0.0),
      dbias_(head.w.extent(0), 0.0) {}

void HeadGradients::add(const Logits& dz, std::int64_t t) {
  const std::int64_t width = head_.x.extent(1);
  for (std::int64_t v = 0; v < head_.w.extent(0); ++v) {
    dbias_[v] += dz[v];
    for (std::int64_t h = 0; head_.dw && h < width; ++h) dw_[v * width + h] += dz[v] * head_.x(t, h);
  }
  for (std::int64_t h = 0; h < width; ++h) {
    head_.dx(t, h) =
        static_cast<float>(sum(head_.w.extent(0), [&](std::int64_t v) { return dz[v] * head_.w(v, h); }));
  }
}

void HeadGradients::skip(std::int64_t t) {
  for (std::int64_t h = 0; head_.dx && h < head_.dx.extent(1); ++h) head_.dx(t, h) = 0;
}

void HeadGradients::store() const {
  const std::int64_t width = head_.w.extent(1);
  if (head_.dw) {
    fill(head_.dw, [&](std::int64_t v, std::int64_t h) { return head_.dw(v, h) + dw_[v * width + h]; });
  }
  for (std::int64_t v = 0; head_.dbias && v < head_.dbias.extent(0); ++v) {
    head_.dbias(v) = static_cast<float>(head_.dbias(v) + dbias_[v]);
  }
}

}  // namespace caravan::reference
