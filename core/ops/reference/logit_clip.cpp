#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "caravan/reference_ops.hpp"
#include "core/ops/reference/attention_mask.hpp"
#include "core/ops/reference/call.hpp"

namespace caravan {

using namespace reference;

void ReferenceOps::largest_logits(const LargestLogits& args) {
  const Call call("largest_logits");
  const auto q = call.array<float, 4>("q", args.q, {kAny, kAny, kAny, kAny});
  const auto k = call.array<float, 4>("k", args.k, {q.extent(0), kAny, kAny, q.extent(3)});
  const std::int64_t heads = q.extent(2), kv_heads = k.extent(2);
  const auto largest = call.f32_vector("largest", args.largest, heads);
  if (kv_heads == 0 || heads % kv_heads != 0)
    call.fail(fmt::format("{} query heads on {} key/value heads (must be a multiple)", heads, kv_heads));
  const SeenKeys sees(call, args.mask, q, k);

  for (std::int64_t b = 0; b < q.extent(0); ++b)
    for (std::int64_t i = 0; i < q.extent(1); ++i)
      for (std::int64_t j = 0; j < k.extent(1); ++j)
        for (std::int64_t h = 0; h < heads && sees(b, i, j); ++h) {
          const double logit = args.scale * sum(q.extent(3), [&](std::int64_t d) {
                                 return double{q(b, i, h, d)} * k(b, j, h * kv_heads / heads, d);
                               });
          if (logit > largest(h)) largest(h) = static_cast<float>(logit);
        }
}

namespace {

/// γ of the query heads [first, first + count), the least.
double least_factor(const Vector<float>& largest, double limit, std::int64_t first, std::int64_t count) {
  double factor = 1;
  for (std::int64_t h = first; h < first + count; ++h)
    if (largest(h) > limit) factor = std::min(factor, limit / largest(h));
  return factor;
}

/// What the rows of a head are multiplied by.
double head_factor(const ClipHeads& args, const Vector<float>& largest, std::int64_t head) {
  const std::int64_t group = largest.extent(0) / args.kv_heads;
  const bool of_keys = args.of == ClipHeads::Of::keys;
  const std::int64_t first = of_keys ? head * group : head / group * group;
  const double of_group = std::sqrt(least_factor(largest, args.limit, first, group));
  return of_keys ? of_group : least_factor(largest, args.limit, head, 1) / of_group;
}

}  // namespace

void ReferenceOps::clip_heads(const ClipHeads& args) {
  const Call call("clip_heads");
  const auto master = call.f32_flat("master", args.master, kAny);
  const auto weight =
      args.weight.empty() ? Vector<float>{} : call.flat("weight", args.weight, master.extent(0));
  const auto largest = call.f32_vector("largest", args.largest, kAny);
  const auto proceed = call.optional_f32_vector("proceed", args.proceed, 1);
  if (const std::string problem = problem_with(args); !problem.empty()) call.fail(problem);
  if (proceed && std::isnan(proceed(0))) return;

  const std::int64_t end = args.first + master.extent(0);
  for (std::int64_t head = args.first / args.head_elements; head * args.head_elements < end; ++head) {
    const double factor = head_factor(args, largest, head);
    if (factor == 1) continue;
    const std::int64_t from = std::max(head * args.head_elements, args.first) - args.first,
                       to = std::min((head + 1) * args.head_elements, end) - args.first;
    for (std::int64_t i = from; i < to; ++i) {
      master(i) = static_cast<float>(factor * master(i));
      if (weight) weight(i) = master(i);
    }
  }
}

}  // namespace caravan
