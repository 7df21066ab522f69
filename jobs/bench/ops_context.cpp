#include <algorithm>
#include <array>

#include "caravan/checked.hpp"
#include "caravan/token_map.hpp"
#include "jobs/bench/ops_attention.hpp"

// Attention of a context rank: its queries against the keys before them, block by block.
namespace caravan::jobs {
namespace {

/// Pairs of a query before position `end` and a key that it sees: half of the square of each chunk.
double pairs_before(std::int64_t end, std::int64_t chunk) {
  const std::int64_t span = chunk > 0 ? chunk : std::max<std::int64_t>(end, 1);
  const auto side = static_cast<double>(span), rest = static_cast<double>(end % span);
  return (static_cast<double>(end / span) * side * side + rest * rest) / 2;
}

/// Queries of a rank and a block of keys, in one call of the operator.
struct Piece {
  Crossing seen;
  std::int64_t row = 0;  ///< of the first of these queries, among this rank's of a sequence
  bool adds = false;     ///< to the results of other keys
};

/// What a context rank attends to, as the attention layer does: of each of its blocks the own keys, then
/// those of every block before it.
struct ContextCalls {
  std::array<PositionRange, 2> queries;
  std::vector<Piece> pieces;

  explicit ContextCalls(const OpsShape& s) : queries(map_of(s, s.context_rank).ranges()) {
    std::int64_t row = 0;
    for (const PositionRange& block : queries) {
      pieces.push_back({crossing(block, block, s.chunk), row});
      for (std::int64_t rank = 0; rank < s.context; ++rank)
        for (const PositionRange& keys : map_of(s, rank).ranges()) add(s, block, keys, row);
      row += block.size();
    }
  }
  std::int64_t rows() const { return queries[0].size() + queries[1].size(); }

 private:
  static TokenMap map_of(const OpsShape& s, std::int64_t rank) {
    return TokenMap::context(0, s.sequence, narrow<int>({"--context", s.context}),
                             narrow<int>({"--context-rank", rank}));
  }
  void add(const OpsShape& s, PositionRange block, PositionRange keys, std::int64_t row) {
    const Crossing seen = crossing(block, keys, s.chunk);
    if (keys.begin != block.begin && !seen.empty()) pieces.push_back({seen, row, true});
  }
};

double forward_flops(const OpsShape& s, const ContextCalls& calls) {
  double pairs = 0;
  for (const PositionRange& block : calls.queries)
    pairs += pairs_before(block.end, s.chunk) - pairs_before(block.begin, s.chunk);
  return attention_flops(s, static_cast<double>(s.batch) * pairs);
}

/// Bytes of the rank's queries, and of keys and values as often as a block reads them.
struct Operands {
  double queries = 0, keys = 0;
};

Operands operands(const BenchMemory& memory, const OpsShape& s, const ContextCalls& calls) {
  const double head = memory.compute_bytes() * static_cast<double>(s.batch * s.head_dim);
  Operands bytes{head * static_cast<double>(calls.rows() * s.heads), 0};
  for (const Piece& piece : calls.pieces)
    bytes.keys += head * static_cast<double>(piece.seen.keys.size() * 2 * s.kv_heads);
  return bytes;
}

/// Of a block: queries inside this rank's matrix [T, (A+2G)·D], keys and values inside that of whole
/// sequences, [B·L, 2G·D], as the attention layer has them.
std::vector<AttentionForward> forward_args(BenchMemory& memory, const OpsShape& s,
                                           const ContextCalls& pieces) {
  const std::int64_t rows = pieces.rows();
  const TensorView own = memory.random({s.batch, rows, s.heads + 2 * s.kv_heads, s.head_dim}),
                   whole = memory.random({s.batch, s.sequence, 2 * s.kv_heads, s.head_dim}),
                   out = memory.output({s.batch, rows, s.heads, s.head_dim}),
                   lse = memory.zeros(DType::f32, {s.batch, s.heads, rows});
  std::vector<AttentionForward> calls;
  for (const auto& [seen, row, adds] : pieces.pieces) {
    const std::int64_t end = row + seen.queries.size();
    const TensorView keys = whole.slice(1, seen.keys.begin, seen.keys.end);
    AttentionForward args;
    args.q = own.slice(2, 0, s.heads).slice(1, row, end);
    args.k = keys.slice(2, 0, s.kv_heads);
    args.v = keys.slice(2, s.kv_heads, 2 * s.kv_heads);
    args.out = out.slice(1, row, end);
    args.lse = lse.slice(2, row, end);
    args.mask = {seen.queries.begin, seen.keys.begin, s.chunk, {}, {}};
    args.scale = attention_scale(s);
    args.adds = adds;
    calls.push_back(args);
  }
  return calls;
}

OpCase context_forward(BenchMemory& memory, const OpsShape& s) {
  const ContextCalls pieces(s);
  const Operands bytes = operands(memory, s, pieces);
  return {2 * bytes.queries + bytes.keys, forward_flops(s, pieces),
          [calls = forward_args(memory, s, pieces)](Ops& ops) {
            for (const AttentionForward& args : calls) ops.attention_forward(args);
          }};
}

std::vector<AttentionBackward> backward_args(BenchMemory& memory, const OpsShape& s,
                                             const ContextCalls& pieces) {
  const TensorView own = memory.output({s.batch, pieces.rows(), s.heads + 2 * s.kv_heads, s.head_dim});
  std::vector<AttentionBackward> calls;
  for (const AttentionForward& f : forward_args(memory, s, pieces)) {
    const auto& [seen, row, adds] = pieces.pieces[calls.size()];
    const TensorView whole = memory.output({s.batch, s.sequence, 2 * s.kv_heads, s.head_dim});
    const TensorView keys = whole.slice(1, seen.keys.begin, seen.keys.end);
    AttentionBackward args = backward_of(memory, f);
    args.dq = own.slice(2, 0, s.heads).slice(1, row, row + seen.queries.size());
    args.dk = keys.slice(2, 0, s.kv_heads);
    args.dv = keys.slice(2, s.kv_heads, 2 * s.kv_heads);
    args.adds = adds;
    calls.push_back(args);
  }
  return calls;
}

OpCase context_backward(BenchMemory& memory, const OpsShape& s) {
  const ContextCalls pieces(s);
  const Operands bytes = operands(memory, s, pieces);
  // The recomputed scores are not counted.
  return {4 * bytes.queries + 2 * bytes.keys, 2 * forward_flops(s, pieces),
          [calls = backward_args(memory, s, pieces)](Ops& ops) {
            for (const AttentionBackward& args : calls) ops.attention_backward(args);
          }};
}

}  // namespace

const std::vector<NamedCase>& context_cases() {
  static const std::vector<NamedCase> cases = {{"attention_forward/context", context_forward},
                                               {"attention_backward/context", context_backward}};
  return cases;
}

}  // namespace caravan::jobs
