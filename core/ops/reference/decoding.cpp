#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "caravan/reference_ops.hpp"
#include "core/ops/reference/call.hpp"

namespace caravan {

using namespace reference;

namespace {

/// The checked rows of a step and the cache that they stand in.
struct Cached {
  Array<float, 4> keys, values;
  Vector<std::int32_t> slots, positions;
  Matrix<std::int32_t> pages;
  std::int64_t ring;

  Cached(const Call& call, const CacheRows& rows, const PagedKeys& cache, std::int64_t tokens)
      : keys(call.array<float, 4>("keys", cache.keys, {kAny, kAny, kAny, kAny})),
        values(call.array<float, 4>("values", cache.values,
                                    {keys.extent(0), keys.extent(1), keys.extent(2), keys.extent(3)})),
        slots(call.vector<std::int32_t>("slots", rows.slots, tokens)),
        positions(call.vector<std::int32_t>("positions", rows.positions, tokens)),
        pages(call.matrix<std::int32_t>("pages", rows.pages, kAny, kAny)),
        ring(rows.ring) {
    if (const std::string problem = problem_with(rows, cache); !problem.empty()) call.fail(problem);
  }
  bool is_padding(std::int64_t t) const { return slots(t) < 0; }
  /// Elements of a position of row t's slot are at (page, place, g, d).
  std::pair<std::int64_t, std::int64_t> find(std::int64_t t, std::int64_t position) const {
    const CachePlace at = place_of(position, ring, keys.extent(1));
    return {pages(slots(t), at.column), at.place};
  }
};

/// Softmax of scores, in place.
void to_probabilities(std::vector<double>& scores) {
  const double largest = *std::max_element(scores.begin(), scores.end());
  double total = 0;
  for (double& score : scores) total += score = std::exp(score - largest);
  for (double& score : scores) score /= total;
}

std::vector<double> scores_of(const Cached& cached, const Array<float, 3>& q, const PagedAttention& args,
                              std::int64_t t, std::int64_t head) {
  const std::int64_t g = head * cached.keys.extent(2) / q.extent(1), position = cached.positions(t);
  std::vector<double> scores;
  for (std::int64_t p = first_seen(position, args.chunk); p <= position; ++p) {
    const auto [page, place] = cached.find(t, p);
    scores.push_back(args.scale * sum(q.extent(2), [&, page = page, place = place](std::int64_t d) {
                       return double{q(t, head, d)} * cached.keys(page, place, g, d);
                     }));
  }
  return scores;
}

void attend(const Cached& cached, const Array<float, 3>& q, const Array<float, 3>& out,
            const PagedAttention& args, std::int64_t t, std::int64_t head) {
  const std::int64_t g = head * cached.keys.extent(2) / q.extent(1);
  std::vector<double> weights = scores_of(cached, q, args, t, head);
  to_probabilities(weights);
  const std::int64_t first = first_seen(cached.positions(t), args.chunk);
  for (std::int64_t d = 0; d < q.extent(2); ++d) {
    out(t, head, d) = static_cast<float>(sum(std::ssize(weights), [&](std::int64_t i) {
      const auto [page, place] = cached.find(t, first + i);
      return weights[static_cast<std::size_t>(i)] * cached.values(page, place, g, d);
    }));
  }
}

}  // namespace

void ReferenceOps::qk_prepare_cached(const QkPrepareCached& args) {
  const Call call("qk_prepare_cached");
  const QkPrepare& how = args.how;
  if (const std::string problem = problem_with(how); !problem.empty()) call.fail(problem);
  const std::int64_t width = how.head_dim, heads = how.heads + how.kv_heads;
  const auto qkv = call.matrix("qkv", args.qkv, kAny, (heads + how.kv_heads) * width);
  const Cached cached(call, args.rows, args.cache, qkv.extent(0));
  if (cached.keys.extent(2) != how.kv_heads || cached.keys.extent(3) != width)
    call.fail(fmt::format("a cache of {} heads of {} (the keys are {} of {})", cached.keys.extent(2),
                          cached.keys.extent(3), how.kv_heads, width));
  std::vector<float> rstd(static_cast<std::size_t>(heads));
  for (std::int64_t t = 0; t < qkv.extent(0); ++t) {
    if (cached.is_padding(t)) continue;
    QkPrepareForward row{how, TensorView(&qkv(t, 0), DType::f32, {1, qkv.extent(1)}),
                         TensorView(rstd.data(), DType::f32, {1, heads})};
    row.how.tokens = TokenMap::piece(cached.positions(t), 1);
    ReferenceOps::qk_prepare_forward(row);  // here, not on the device that asked: the row is ours
    const auto [page, place] = cached.find(t, cached.positions(t));
    for (std::int64_t g = 0; g < how.kv_heads; ++g) {
      for (std::int64_t d = 0; d < width; ++d) {
        cached.keys(page, place, g, d) = qkv(t, (how.heads + g) * width + d);
        cached.values(page, place, g, d) = qkv(t, (heads + g) * width + d);
      }
    }
  }
}

void ReferenceOps::paged_attention(const PagedAttention& args) {
  const Call call("paged_attention");
  const auto q = call.array<float, 3>("q", args.q, {kAny, kAny, kAny});
  const auto out = call.array<float, 3>("out", args.out, {q.extent(0), q.extent(1), q.extent(2)});
  const Cached cached(call, args.rows, args.cache, q.extent(0));
  const std::int64_t kv_heads = cached.keys.extent(2);
  if (kv_heads == 0 || q.extent(1) % kv_heads != 0)
    call.fail(
        fmt::format("{} query heads on {} key/value heads (must be a multiple)", q.extent(1), kv_heads));
  for (std::int64_t t = 0; t < q.extent(0); ++t) {
    for (std::int64_t head = 0; head < q.extent(1); ++head) {
      if (!cached.is_padding(t)) {
        attend(cached, q, out, args, t, head);
        continue;
      }
      for (std::int64_t d = 0; d < q.extent(2); ++d) out(t, head, d) = 0;
    }
  }
}

void ReferenceOps::advance_rows(const AdvanceRows& args) {
  const Call call("advance_rows");
  const auto drawn = call.vector<std::int32_t>("drawn", args.drawn, kAny);
  const auto tokens = call.vector<std::int32_t>("tokens", args.tokens, drawn.extent(0));
  const auto slots = call.vector<std::int32_t>("slots", args.slots, drawn.extent(0));
  const auto positions = call.vector<std::int32_t>("positions", args.positions, drawn.extent(0));
  const auto left = call.vector<std::int32_t>("left", args.left, kAny);
  const auto stops =
      args.stops.empty() ? Vector<std::int32_t>{} : call.vector<std::int32_t>("stops", args.stops, kAny);
  for (std::int64_t t = 0; t < drawn.extent(0); ++t) {
    if (slots(t) >= left.extent(0))
      call.fail(fmt::format("slots[{}] is {} (there are {})", t, slots(t), left.extent(0)));
    bool over = slots(t) < 0 || drawn(t) < 0;
    for (std::int64_t s = 0; s < stops.extent(0); ++s) over = over || stops(s) == drawn(t);
    if (slots(t) >= 0 && --left(slots(t)) <= 0) over = true;
    tokens(t) = over ? 0 : drawn(t);
    if (over)
      slots(t) = -1;
    else
      ++positions(t);
  }
}

}  // namespace caravan
