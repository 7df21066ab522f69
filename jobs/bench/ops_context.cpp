#include <algorithm>

#include "caravan/checked.hpp"
#include "caravan/token_map.hpp"
#include "jobs/bench/ops_attention.hpp"

// Attention of a context rank: its queries against the keys before them, as a gather brings them.
namespace caravan::jobs {
namespace {

/// Pairs of a query before position `end` and a key that it sees: half of the square of each chunk.
double pairs_before(std::int64_t end, std::int64_t chunk) {
  const std::int64_t span = chunk > 0 ? chunk : std::max<std::int64_t>(end, 1);
  const auto side = static_cast<double>(span), rest = static_cast<double>(end % span);
  return (static_cast<double>(end / span) * side * side + rest * rest) / 2;
}

/// A block of queries with the keys before them.
struct Block {
  PositionRange queries, keys;
  std::int64_t row = 0;  ///< of its first query, among this rank's of a sequence
};

/// A context rank's; the first has the first block and the last, which sees the most keys of all.
std::vector<Block> blocks_of(const OpsShape& s) {
  std::vector<Block> blocks;
  std::int64_t row = 0;
  for (const PositionRange& queries : TokenMap::context(0, s.sequence, narrow<int>({"--context", s.context}),
                                                        narrow<int>({"--context-rank", s.context_rank}))
                                          .ranges()) {
    const std::int64_t first = s.chunk > 0 ? queries.begin / s.chunk * s.chunk : 0;
    blocks.push_back({queries, {first, queries.end}, row});
    row += queries.size();
  }
  return blocks;
}

double forward_flops(const OpsShape& s, const std::vector<Block>& blocks) {
  double pairs = 0;
  for (const Block& block : blocks)
    pairs += pairs_before(block.queries.end, s.chunk) - pairs_before(block.queries.begin, s.chunk);
  return attention_flops(s, static_cast<double>(s.batch) * pairs);
}

/// Bytes of the rank's queries, and of keys and values as often as a block reads them.
struct Operands {
  double queries = 0, keys = 0;
};

Operands operands(const BenchMemory& memory, const OpsShape& s, const std::vector<Block>& blocks) {
  Operands bytes;
  const double head = memory.compute_bytes() * static_cast<double>(s.batch * s.head_dim);
  for (const Block& block : blocks) {
    bytes.queries += head * static_cast<double>(block.queries.size() * s.heads);
    bytes.keys += head * static_cast<double>(block.keys.size() * 2 * s.kv_heads);
  }
  return bytes;
}

std::int64_t rows_of(const std::vector<Block>& blocks) {
  return blocks.back().row + blocks.back().queries.size();
}

/// Of a block: queries inside this rank's matrix [T, (A+2G)·D], keys and values inside that of whole
/// sequences, [B·L, 2G·D], as the attention layer has them.
std::vector<AttentionForward> forward_args(BenchMemory& memory, const OpsShape& s,
                                           const std::vector<Block>& blocks) {
  const std::int64_t rows = rows_of(blocks);
  const TensorView own = memory.random({s.batch, rows, s.heads + 2 * s.kv_heads, s.head_dim}),
                   whole = memory.random({s.batch, s.sequence, 2 * s.kv_heads, s.head_dim}),
                   out = memory.output({s.batch, rows, s.heads, s.head_dim}),
                   lse = memory.zeros(DType::f32, {s.batch, s.heads, rows});
  std::vector<AttentionForward> calls;
  for (const Block& block : blocks) {
    const std::int64_t end = block.row + block.queries.size();
    const TensorView keys = whole.slice(1, block.keys.begin, block.keys.end);
    AttentionForward args;
    args.q = own.slice(2, 0, s.heads).slice(1, block.row, end);
    args.k = keys.slice(2, 0, s.kv_heads);
    args.v = keys.slice(2, s.kv_heads, 2 * s.kv_heads);
    args.out = out.slice(1, block.row, end);
    args.lse = lse.slice(2, block.row, end);
    args.mask = {block.queries.begin, block.keys.begin, s.chunk, {}, {}};
    args.scale = attention_scale(s);
    calls.push_back(args);
  }
  return calls;
}

OpCase context_forward(BenchMemory& memory, const OpsShape& s) {
  const auto blocks = blocks_of(s);
  const Operands bytes = operands(memory, s, blocks);
  return {2 * bytes.queries + bytes.keys, forward_flops(s, blocks),
          [calls = forward_args(memory, s, blocks)](Ops& ops) {
            for (const AttentionForward& args : calls) ops.attention_forward(args);
          }};
}

std::vector<AttentionBackward> backward_args(BenchMemory& memory, const OpsShape& s,
                                             const std::vector<Block>& blocks) {
  const TensorView own = memory.output({s.batch, rows_of(blocks), s.heads + 2 * s.kv_heads, s.head_dim});
  std::vector<AttentionBackward> calls;
  for (const AttentionForward& f : forward_args(memory, s, blocks)) {
    const Block& block = blocks[calls.size()];
    const TensorView whole = memory.output({s.batch, s.sequence, 2 * s.kv_heads, s.head_dim});
    const TensorView keys = whole.slice(1, block.keys.begin, block.keys.end);
    AttentionBackward args = backward_of(memory, f);
    args.dq = own.slice(2, 0, s.heads).slice(1, block.row, block.row + block.queries.size());
    args.dk = keys.slice(2, 0, s.kv_heads);
    args.dv = keys.slice(2, s.kv_heads, 2 * s.kv_heads);
    calls.push_back(args);
  }
  return calls;
}

OpCase context_backward(BenchMemory& memory, const OpsShape& s) {
  const auto blocks = blocks_of(s);
  const Operands bytes = operands(memory, s, blocks);
  // The recomputed scores are not counted.
  return {4 * bytes.queries + 2 * bytes.keys, 2 * forward_flops(s, blocks),
          [calls = backward_args(memory, s, blocks)](Ops& ops) {
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
