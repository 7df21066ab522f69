#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include "host_ops.hpp"
#include "paged_rows.hpp"
#include "transpose.hpp"
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
  float* output(std::int64_t t, std::int64_t head) const { return out + t * out_stride + head * width; }
};

/// Neighbouring rows of one slot, which all see keys from `first` on.
struct Piece {
  std::int64_t begin, end, first, last;
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

/// Keys, or values, of one key/value head: position i is at base + offsets[i].
struct Lines {
  const float* base;
  const std::int64_t* offsets;
  std::int64_t count, width;

  const float* at(std::int64_t i) const { return base + offsets[i]; }
};

/// Scores of some queries, a dot product at a time.
void score_wide(const Lines& keys, const float* const* queries, int count, std::int64_t stride,
                float* scores) {
  for (std::int64_t i = 0; i < keys.count; ++i)
    for (int n = 0; n < count; ++n) scores[n * stride + i] = dot(queries[n], keys.at(i), keys.width);
}

/// The same of heads of one or two vectors, for which sums across lanes would take longer than the products:
/// a vector of keys at a time, transposed. Behind the last score there is room for a vector.
void score_narrow(const Lines& keys, const float* const* queries, int count, std::int64_t stride,
                  float* scores) {
  for (std::int64_t i = 0; i < keys.count; i += kLanes) {
    Vec sums[kQueries] = {};
    for (std::int64_t d = 0; d < keys.width; d += kLanes) {
      Vec square[kLanes];
#pragma GCC unroll 16
      for (int lane = 0; lane < kLanes; ++lane)
        square[lane] = load(keys.at(std::min(i + lane, keys.count - 1)) + d);
      transpose(square);
      for (int n = 0; n < count; ++n) {
#pragma GCC unroll 16
        for (int lane = 0; lane < kLanes; ++lane) sums[n] += broadcast(queries[n][d + lane]) * square[lane];
      }
    }
    for (int n = 0; n < count; ++n) store(scores + n * stride + i, sums[n]);
  }
}

/// Scaled scores become weights e^(score − largest); returns 1 / their sum. There is room for a vector
/// behind.
float to_weights(float* scores, std::int64_t count, float scale) {
  float largest = scores[0];
  for (std::int64_t i = 1; i < count; ++i) largest = std::max(largest, scores[i]);
  std::fill_n(scores + count, kLanes, -std::numeric_limits<float>::infinity());
  const Vec factor = broadcast(scale * 1.44269504088896340736f);
  Vec sums{};
  for (std::int64_t i = 0; i < count; i += kLanes) {
    const Vec weight = exp2_bounded((load(scores + i) - broadcast(largest)) * factor);
    store(scores + i, weight);
    sums += weight;
  }
  std::fill_n(scores + count, kLanes, 0.0f);
  return 1 / sum_of(sums);
}

/// Chains of sums, which position i joins by i mod kChains: more than one, so that none waits for the last.
constexpr int kChains = 4;

/// One vector of the outputs of some queries: Σ weight·value. A weight of 0 changes no bit.
template <int Count>
CARAVAN_INLINE void sum_values(const Lines& values, std::int64_t d, const float* weights, std::int64_t stride,
                               Vec (&sums)[Count]) {
  Vec chains[Count][kChains] = {};
  for (std::int64_t i = 0; i < values.count; i += kChains) {
#pragma GCC unroll 4
    for (int chain = 0; chain < kChains; ++chain) {
      if (i + chain >= values.count) break;
      const Vec value = load(values.at(i + chain) + d);
#pragma GCC unroll 4
      for (int n = 0; n < Count; ++n) chains[n][chain] += broadcast(weights[n * stride + i + chain]) * value;
    }
  }
  for (int n = 0; n < Count; ++n) sums[n] = (chains[n][0] + chains[n][1]) + (chains[n][2] + chains[n][3]);
}

/// What one thread works with: where positions are, scores of some queries.
class Room {
 public:
  Room(Workspace& scratch, std::int64_t most) : stride_((most + 3 * kLanes - 1) / kLanes * kLanes) {
    const auto offsets = static_cast<std::size_t>(stride_) * (sizeof(std::int64_t) / sizeof(float));
    const auto scores = static_cast<std::size_t>(stride_) * kQueries;
    scratch.begin(offsets + scores, 2);
    offsets_ = reinterpret_cast<std::int64_t*>(scratch.take(offsets));
    scores_ = scratch.take(scores);
  }

  /// Before the groups of these rows.
  void begin(const Paged& paged, const Piece& piece) {
    paged.cached.find(piece.begin, piece.first, piece.last, offsets_);
  }

  void attend(const Paged& paged, const Piece& piece, std::int64_t group) {
    const std::int64_t per_row = paged.heads_per_kv(), count = (piece.end - piece.begin) * per_row;
    for (std::int64_t i = 0; i < count; i += kQueries) {
      Query queries[kQueries];
      const auto here = static_cast<int>(std::min<std::int64_t>(kQueries, count - i));
      for (int n = 0; n < here; ++n)
        queries[n] = {piece.begin + (i + n) / per_row, group * per_row + (i + n) % per_row};
      attend_block(paged, piece, group, std::span(queries, static_cast<std::size_t>(here)));
    }
  }

 private:
  void attend_block(const Paged& paged, const Piece& piece, std::int64_t group,
                    std::span<const Query> queries) {
    const auto count = static_cast<int>(queries.size());
    const float* rows[kQueries];
    std::int64_t last = 0;
    for (int n = 0; n < count; ++n) {
      const Query& query = queries[static_cast<std::size_t>(n)];
      rows[n] = paged.q + query.t * paged.q_stride + query.head * paged.width;
      last = std::max(last, paged.cached.position(query.t));
    }
    const std::int64_t seen = last - piece.first + 1, head = group * paged.width;
    const Lines keys{paged.cached.keys() + head, offsets_, seen, paged.width};
    const bool is_narrow = paged.width % kLanes == 0 && paged.width <= 2 * kLanes;
    (is_narrow ? score_narrow : score_wide)(keys, rows, count, stride_, scores_);
    float factors[kQueries];
    for (int n = 0; n < count; ++n) {
      float* scores = scores_ + n * stride_;
      const std::int64_t own =
          paged.cached.position(queries[static_cast<std::size_t>(n)].t) - piece.first + 1;
      factors[n] = to_weights(scores, own, paged.scale);
      std::fill(scores + own, scores + seen, 0.0f);
    }
    put(paged, {paged.cached.values() + head, offsets_, seen, paged.width}, queries, factors);
  }

  void put(const Paged& paged, const Lines& values, std::span<const Query> queries,
           const float (&factors)[kQueries]) const {
    std::int64_t d = 0;
    for (; d + kLanes <= paged.width; d += kLanes) {
      Vec sums[kQueries];
      if (queries.size() == kQueries) {
        sum_values<kQueries>(values, d, scores_, stride_, sums);
      } else {
        for (std::size_t n = 0; n < queries.size(); ++n)
          sum_values<1>(values, d, scores_ + static_cast<std::int64_t>(n) * stride_, stride_,
                        reinterpret_cast<Vec(&)[1]>(sums[n]));
      }
      for (std::size_t n = 0; n < queries.size(); ++n)
        store(paged.output(queries[n].t, queries[n].head) + d, sums[n] * broadcast(factors[n]));
    }
    for (; d < paged.width; ++d) {  // columns that fill no vector
      for (std::size_t n = 0; n < queries.size(); ++n) {
        const float* weights = scores_ + static_cast<std::int64_t>(n) * stride_;
        float sum = 0;
        for (std::int64_t i = 0; i < values.count; ++i) sum += weights[i] * values.at(i)[d];
        paged.output(queries[n].t, queries[n].head)[d] = sum * factors[n];
      }
    }
  }

  std::int64_t stride_;
  std::int64_t* offsets_;
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
    visit(Piece{begin, end, paged.first(begin), last});
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
    extent.products += (piece.end - piece.begin) * keys * paged.width * paged.heads;
  });
  return extent;
}

/// Each thread takes its turn of the heads of the pieces.
void attend_on_threads(const Paged& paged, std::int64_t rows, const Extent& extent, const Team& team,
                       std::vector<Workspace>& workspaces) {
  constexpr std::int64_t kWorthSharing = 1 << 16;
  const int threads = extent.products < kWorthSharing ? 1 : team.threads();
  const auto room = [&](std::int64_t thread) {
    return Room(workspaces[static_cast<std::size_t>(thread)], extent.most_keys);
  };
  const auto work = [&](std::int64_t thread) {
    Room own = room(thread);
    int turn = 0;
    for_each_piece(paged, rows, [&](const Piece& piece) {
      own.begin(paged, piece);
      for (std::int64_t group = 0; group < paged.cached.kv_heads(); ++group)
        if (turn++ % threads == thread) own.attend(paged, piece, group);
    });
  };
  if (threads == 1) return work(0);
  for (int thread = 0; thread < threads; ++thread) room(thread);  // takes memory where an error can be told
  team.run(threads, work);
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
  attend_on_threads(paged, rows, extent_of(paged, rows), team_, workspaces_);
}

}  // namespace caravan::host
