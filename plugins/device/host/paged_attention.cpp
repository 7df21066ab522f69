#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "host_ops.hpp"
#include "paged_rows.hpp"
#include "vec.hpp"

namespace caravan::host {
namespace {

/// Queries that read the same keys at once.
constexpr int kQueries = 4;

/// A call's views; queries and outputs as rows of A·D.
struct Paged {
  const PagedRows& cached;
  const float* q;
  float* out;
  std::int64_t q_stride, out_stride, heads, width, chunk;
  float scale;

  std::int64_t heads_per_kv() const { return heads / cached.kv_heads(); }
  std::int64_t first(std::int64_t t) const { return first_seen(cached.position(t), chunk); }
};

/// Neighbouring rows of one slot and one key/value head; all of them see keys from `first` on.
struct Piece {
  std::int64_t begin, end, group, first, last;
};

struct Query {
  std::int64_t t, head;
};

/// A dot product; its order depends on the width alone.
CARAVAN_INLINE float dot(const float* a, const float* b, std::int64_t width) {
  Vec sums{};
  std::int64_t d = 0;
  for (; d + kLanes <= width; d += kLanes) sums += load(a + d) * load(b + d);
  float sum = sum_of(sums);
  for (; d < width; ++d) sum += a[d] * b[d];
  return sum;
}

/// Scores become weights e^(score − largest); returns 1 / their sum. Beyond the end there is room for a
/// vector.
float to_weights(float* scores, std::int64_t count) {
  float largest = scores[0];
  for (std::int64_t i = 1; i < count; ++i) largest = std::max(largest, scores[i]);
  std::fill_n(scores + count, kLanes, -std::numeric_limits<float>::infinity());
  Vec sums{};
  for (std::int64_t i = 0; i < count; i += kLanes) {
    const Vec weight =
        exp2_bounded((load(scores + i) - broadcast(largest)) * broadcast(1.44269504088896340736f));
    store(scores + i, weight);
    sums += weight;
  }
  std::fill_n(scores + count, kLanes, 0.0f);
  return 1 / sum_of(sums);
}

/// One vector of the outputs of some queries: Σ weight·value, in the order of positions.
template <int Count>
void sum_values(const float* const* values, std::int64_t count, const float* weights, std::int64_t stride,
                Vec (&sums)[Count]) {
  for (std::int64_t i = 0; i < count; ++i) {
    const Vec value = load(values[i]);
#pragma GCC unroll 4
    for (int n = 0; n < Count; ++n) sums[n] += broadcast(weights[n * stride + i]) * value;
  }
}

/// What one thread works with: pointers to keys and values, scores of some queries.
class Room {
 public:
  Room(Workspace& scratch, std::int64_t most) : stride_((most + 2 * kLanes - 1) / kLanes * kLanes + kLanes) {
    const auto pointers = static_cast<std::size_t>(stride_) * (sizeof(float*) / sizeof(float));
    const auto scores = static_cast<std::size_t>(stride_) * kQueries;
    scratch.begin(2 * pointers + scores, 3);
    keys_ = reinterpret_cast<const float**>(scratch.take(pointers));
    values_ = reinterpret_cast<const float**>(scratch.take(pointers));
    scores_ = scratch.take(scores);
  }

  void attend(const Paged& paged, const Piece& piece) {
    for (std::int64_t p = piece.first; p <= piece.last; ++p) {
      keys_[p - piece.first] = paged.cached.key(piece.begin, p) + piece.group * paged.width;
      values_[p - piece.first] = paged.cached.value(piece.begin, p) + piece.group * paged.width;
    }
    const std::int64_t per_row = paged.heads_per_kv(), count = (piece.end - piece.begin) * per_row;
    for (std::int64_t i = 0; i < count; i += kQueries) {
      Query queries[kQueries];
      const auto here = static_cast<int>(std::min<std::int64_t>(kQueries, count - i));
      for (int n = 0; n < here; ++n)
        queries[n] = {piece.begin + (i + n) / per_row, piece.group * per_row + (i + n) % per_row};
      attend_block(paged, piece, queries, here);
    }
  }

 private:
  void attend_block(const Paged& paged, const Piece& piece, const Query (&queries)[kQueries], int count) {
    std::int64_t last = 0;
    for (int n = 0; n < count; ++n) last = std::max(last, paged.cached.position(queries[n].t));
    const std::int64_t keys = last - piece.first + 1;
    float factors[kQueries];
    for (std::int64_t i = 0; i < keys; ++i) {
      for (int n = 0; n < count; ++n)
        scores_[n * stride_ + i] =
            paged.scale * dot(paged.q + queries[n].t * paged.q_stride + queries[n].head * paged.width,
                              keys_[i], paged.width);
    }
    for (int n = 0; n < count; ++n) {
      const std::int64_t seen = paged.cached.position(queries[n].t) - piece.first + 1;
      factors[n] = to_weights(scores_ + n * stride_, seen);
      std::fill(scores_ + n * stride_ + seen, scores_ + n * stride_ + keys, 0.0f);
    }
    put(paged, queries, count, keys, factors);
  }

  void put(const Paged& paged, const Query (&queries)[kQueries], int count, std::int64_t keys,
           const float (&factors)[kQueries]) {
    for (std::int64_t d = 0; d < paged.width; d += kLanes) {
      const auto here = std::min<std::int64_t>(kLanes, paged.width - d);
      if (here < kLanes) return put_rest(paged, queries, count, keys, factors, d);
      Vec sums[kQueries] = {};
      if (count == kQueries)
        sum_values<kQueries>(values_, keys, scores_, stride_, sums);
      else
        for (int n = 0; n < count; ++n) {
          Vec one[1] = {};
          sum_values<1>(values_, keys, scores_ + n * stride_, stride_, one);
          sums[n] = one[0];
        }
      for (int n = 0; n < count; ++n)
        store(paged.out + queries[n].t * paged.out_stride + queries[n].head * paged.width + d,
              sums[n] * broadcast(factors[n]));
      for (std::int64_t i = 0; i < keys; ++i) values_[i] += kLanes;
    }
    for (std::int64_t i = 0; i < keys; ++i) values_[i] -= paged.width;
  }

  /// The last columns, where they fill no vector.
  void put_rest(const Paged& paged, const Query (&queries)[kQueries], int count, std::int64_t keys,
                const float (&factors)[kQueries], std::int64_t d) {
    for (int n = 0; n < count; ++n) {
      float* to = paged.out + queries[n].t * paged.out_stride + queries[n].head * paged.width;
      for (std::int64_t c = d; c < paged.width; ++c) {
        float sum = 0;
        for (std::int64_t i = 0; i < keys; ++i) sum += scores_[n * stride_ + i] * values_[i][c - d];
        to[c] = sum * factors[n];
      }
    }
    for (std::int64_t i = 0; i < keys; ++i) values_[i] -= d;
  }

  std::int64_t stride_;
  const float **keys_, **values_;
  float* scores_;
};

/// Rows of one slot that stand beside each other and see the same first key, at most 16 of them.
template <class Visit>
void for_each_piece(const Paged& paged, std::int64_t rows, const Visit& visit) {
  constexpr std::int64_t kMost = 16;
  for (std::int64_t begin = 0, end = 0; begin < rows; begin = end) {
    end = begin + 1;
    if (paged.cached.is_padding(begin)) continue;
    while (end < rows && end - begin < kMost && paged.cached.slot(end) == paged.cached.slot(begin) &&
           paged.first(end) == paged.first(begin))
      ++end;
    std::int64_t last = 0;
    for (std::int64_t t = begin; t < end; ++t) last = std::max(last, paged.cached.position(t));
    for (std::int64_t group = 0; group < paged.cached.kv_heads(); ++group)
      visit(Piece{begin, end, group, paged.first(begin), last});
  }
}

/// What a call does, to divide it among threads.
struct Extent {
  std::int64_t most_keys = 0, products = 0;
};

Extent extent_of(const Paged& paged, std::int64_t rows) {
  Extent extent;
  for_each_piece(paged, rows, [&](const Piece& piece) {
    const std::int64_t keys = piece.last - piece.first + 1;
    extent.most_keys = std::max(extent.most_keys, keys);
    extent.products += (piece.end - piece.begin) * keys * paged.width * paged.heads_per_kv();
  });
  return extent;
}

/// Each thread takes its turn of the pieces.
void attend_on_threads(const Paged& paged, std::int64_t rows, const Extent& extent,
                       std::vector<Workspace>& workspaces) {
  constexpr std::int64_t kWorthSharing = 1 << 16;
  const auto threads = extent.products < kWorthSharing ? 1 : static_cast<int>(workspaces.size());
  const auto room = [&](int thread) {
    return Room(workspaces[static_cast<std::size_t>(thread)], extent.most_keys);
  };
  const auto work = [&](int thread) {
    Room own = room(thread);
    int turn = 0;
    for_each_piece(paged, rows, [&](const Piece& piece) {
      if (turn++ % threads == thread) own.attend(paged, piece);
    });
  };
  if (threads == 1) return work(0);
  for (int thread = 0; thread < threads; ++thread) room(thread);  // takes memory where an error can be told
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int thread = 0; thread < threads; ++thread) work(thread);
}

}  // namespace

void HostOps::paged_attention(const PagedAttention& args) {
  const Call call("paged_attention");
  call.check("q", args.q, {DType::f32, 3, {kAny, kAny, kAny}});
  const std::int64_t rows = args.q.extent(0), heads = args.q.extent(1), width = args.q.extent(2);
  call.check("out", args.out, {DType::f32, 3, {rows, heads, width}});
  const PagedRows cached(call, args.rows, args.cache, rows);
  cached.check_heads(call, cached.kv_heads(), width);
  if (cached.kv_heads() == 0 || heads % cached.kv_heads() != 0)
    call.fail(
        fmt::format("{} query heads on {} key/value heads (must be a multiple)", heads, cached.kv_heads()));
  if (args.q.stride(1) != width || args.out.stride(1) != width)
    call.fail("heads that lie apart (those of a row must be neighbours)");
  const Paged paged{cached,
                    args.q.as<float>(),
                    args.out.as<float>(),
                    args.q.stride(0),
                    args.out.stride(0),
                    heads,
                    width,
                    args.chunk,
                    args.scale};
  for (std::int64_t t = 0; t < rows; ++t)
    if (cached.is_padding(t)) std::fill_n(paged.out + t * paged.out_stride, heads * width, 0.0f);
  attend_on_threads(paged, rows, extent_of(paged, rows), of_threads_);
}

}  // namespace caravan::host
