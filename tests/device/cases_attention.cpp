#include <fmt/format.h>

#include <cmath>

#include "tests/device/cases.hpp"

namespace caravan::testing {
namespace {

enum class Documents { none, some };

struct AttentionCase {
  const char* name;
  std::int64_t batch, queries, keys, heads, kv_heads, head_dim;
  std::int64_t first_query = 0, first_key = 0, chunk = 0;
  Documents documents = Documents::none;
  float dropout = 0;
  bool adds = false;
};

constexpr AttentionCase kCases[] = {
    {"one", 1, 1, 1, 1, 1, 1},
    {"odd", 2, 7, 7, 3, 3, 5},
    {"grouped", 2, 9, 9, 6, 2, 8},
    {"long", 1, 197, 197, 2, 1, 16},
    {"wide_head", 1, 40, 40, 2, 2, 128},
    {"widest_head", 1, 70, 70, 2, 1, 256},
    {"head_of_96", 1, 150, 150, 4, 2, 96},
    {"tiles", 1, 256, 256, 4, 2, 64},
    {"tiles_of_chunks", 2, 256, 256, 4, 1, 32, 0, 0, 64},
    {"chunks_across_tiles", 1, 200, 200, 2, 1, 64, 0, 0, 72},
    {"chunks", 2, 70, 70, 4, 2, 8, 0, 0, 16},
    {"chunk_of_one", 1, 5, 5, 1, 1, 4, 0, 0, 1},
    {"chunk_beyond_end", 1, 37, 37, 2, 1, 8, 0, 0, 100},
    {"documents", 2, 75, 75, 4, 2, 8, 0, 0, 0, Documents::some},
    {"chunks_documents", 2, 75, 75, 4, 2, 8, 0, 0, 9, Documents::some},
    {"documents_of_block", 2, 30, 75, 4, 2, 8, 45, 0, 0, Documents::some},
    {"documents_of_inner_block", 2, 30, 75, 4, 2, 8, 40, 0, 0, Documents::some},
    {"documents_of_chunked_block", 2, 30, 61, 4, 2, 8, 45, 14, 20, Documents::some},
    {"documents_of_one", 2, 1, 75, 4, 2, 8, 74, 0, 0, Documents::some},
    {"dropout", 2, 33, 33, 4, 2, 8, 0, 0, 0, Documents::none, 0.2f},
    {"dropout_block", 2, 9, 17, 2, 1, 8, 16, 4, 0, Documents::none, 0.4f},
    {"dropout_chunks", 1, 65, 65, 2, 2, 8, 0, 0, 16, Documents::none, 0.5f},
    {"decode", 2, 1, 40, 4, 2, 16, 39},
    {"prefill_piece", 1, 6, 40, 4, 2, 16, 34},
    {"decode_chunk", 2, 1, 6, 4, 2, 16, 37, 32, 8},
    {"late_block", 1, 64, 160, 2, 1, 16, 96},
    {"keys_before_queries", 2, 136, 328, 4, 2, 64, 192},
    {"odd_keys_before_queries", 1, 132, 334, 2, 1, 64, 202},
    {"late_block_of_chunk", 2, 64, 96, 2, 1, 16, 160, 128, 128},
    {"block_across_chunks", 1, 136, 168, 2, 1, 16, 96, 64, 64},
    {"cache_begins_before_chunk", 1, 3, 20, 2, 1, 8, 37, 20, 16},
    {.name = "more_keys",
     .batch = 2,
     .queries = 70,
     .keys = 90,
     .heads = 4,
     .kv_heads = 2,
     .head_dim = 8,
     .first_query = 300,
     .first_key = 20,
     .adds = true},
    {.name = "more_keys_in_tiles",
     .batch = 1,
     .queries = 128,
     .keys = 192,
     .heads = 2,
     .kv_heads = 1,
     .head_dim = 64,
     .first_query = 320,
     .first_key = 64,
     .adds = true},
    {.name = "more_keys_of_chunk",
     .batch = 1,
     .queries = 64,
     .keys = 96,
     .heads = 2,
     .kv_heads = 1,
     .head_dim = 16,
     .first_query = 160,
     .first_key = 128,
     .chunk = 128,
     .adds = true},
    {.name = "more_keys_of_first_queries",
     .batch = 2,
     .queries = 40,
     .keys = 9,
     .heads = 2,
     .kv_heads = 1,
     .head_dim = 24,
     .first_query = 25,
     .first_key = 16,
     .chunk = 16,
     .adds = true},
    {.name = "few_more_keys",
     .batch = 1,
     .queries = 2,
     .keys = 3,
     .heads = 2,
     .kv_heads = 2,
     .head_dim = 4,
     .first_query = 7,
     .first_key = 0,
     .adds = true},
    {.name = "more_keys_of_documents",
     .batch = 2,
     .queries = 30,
     .keys = 45,
     .heads = 4,
     .kv_heads = 2,
     .head_dim = 8,
     .first_query = 45,
     .documents = Documents::some,
     .adds = true},
    {.name = "more_keys_dropout",
     .batch = 2,
     .queries = 9,
     .keys = 12,
     .heads = 2,
     .kv_heads = 1,
     .head_dim = 8,
     .first_query = 16,
     .first_key = 4,
     .dropout = 0.4f,
     .adds = true},
};

struct AttentionOperands {
  Handle q, k, v, documents, out, lse;
};

/// From the first key on.
std::int64_t tokens_of(const AttentionCase& c) {
  return std::max(c.keys, c.first_query + c.queries - c.first_key);
}

/// Of the keys, and of queries behind them: documents of 1, 2, 3, … tokens, other lengths in each sequence.
std::vector<std::int32_t> documents_of(const AttentionCase& c) {
  std::vector<std::int32_t> ids;
  for (std::int64_t b = 0; b < c.batch; ++b) {
    for (std::int64_t i = 0; i < tokens_of(c); ++i) {
      ids.push_back(static_cast<std::int32_t>(std::sqrt(2.0 * static_cast<double>(i + 3 * b))));
    }
  }
  return ids;
}

AttentionOperands operands(ProblemBuilder& b, const AttentionCase& c) {
  const Shape queries{c.batch, c.queries, c.heads, c.head_dim}, keys{c.batch, c.keys, c.kv_heads, c.head_dim};
  const Shape rows{c.batch, c.heads, c.queries};
  return {b.random("q", queries, 2),
          b.random("k", keys, 2),
          b.random("v", keys),
          b.indices("documents", {c.batch, tokens_of(c)}, documents_of(c)),
          c.adds ? b.random("out", queries) : b.output("out", queries),
          c.adds ? b.f32_random("lse", rows) : b.f32_output("lse", rows)};
}

AttentionForward forward_args(const AttentionCase& c, const AttentionOperands& o, const Views& v) {
  AttentionForward args{.q = v[o.q], .k = v[o.k], .v = v[o.v], .out = v[o.out], .lse = v[o.lse]};
  args.mask = {.first_query = c.first_query, .first_key = c.first_key, .chunk = c.chunk};
  if (c.documents == Documents::some) {
    const std::int64_t first = c.first_query - c.first_key;
    args.mask.key_documents = v[o.documents].slice(1, 0, c.keys);
    args.mask.query_documents = v[o.documents].slice(1, first, first + c.queries);
  }
  args.dropout = {.probability = c.dropout,
                  .key = {3, 4},
                  .first_sample = 5,
                  .global_length = std::max(c.first_query + c.queries, c.first_key + c.keys) + 3};
  args.scale = 1 / std::sqrt(static_cast<float>(c.head_dim));
  args.adds = c.adds;
  return args;
}

Problem attention_forward(const AttentionCase& c, Storage storage) {
  ProblemBuilder b(fmt::format("attention_forward/{}", c.name), storage);
  const AttentionOperands o = operands(b, c);
  return b.build([=](Ops& ops, const Views& v) { ops.attention_forward(forward_args(c, o, v)); });
}

struct BackwardOperands {
  AttentionOperands forward;
  Handle dout, dq, dk, dv;
};

/// After the forward has run on the reference.
BackwardOperands backward_operands(ProblemBuilder& b, const AttentionCase& c, const AttentionOperands& o) {
  b.prepare([=](Ops& ops, const Views& v) { ops.attention_forward(forward_args(c, o, v)); });
  const Shape queries{c.batch, c.queries, c.heads, c.head_dim}, keys{c.batch, c.keys, c.kv_heads, c.head_dim};
  const Handle dout = b.random("dout", queries);
  const Handle dq = c.adds ? b.random("dq", queries) : b.output("dq", queries);
  return {o, dout, dq, b.output("dk", keys), b.output("dv", keys)};
}

void run_backward(const AttentionCase& c, const BackwardOperands& o, Ops& ops, const Views& v) {
  const AttentionForward f = forward_args(c, o.forward, v);
  ops.attention_backward({.q = f.q,
                          .k = f.k,
                          .v = f.v,
                          .out = f.out,
                          .lse = f.lse,
                          .dout = v[o.dout],
                          .dq = v[o.dq],
                          .dk = v[o.dk],
                          .dv = v[o.dv],
                          .mask = f.mask,
                          .dropout = f.dropout,
                          .scale = f.scale,
                          .adds = f.adds});
}

/// [B, S, G, D] as every query head sees it, [B, S, A, D].
std::vector<double> of_query_heads(const AttentionCase& c, const std::vector<double>& keys) {
  const std::int64_t group = c.heads / c.kv_heads;
  std::vector<double> copies;
  for (std::int64_t i = 0; i < c.batch * c.keys * c.heads * c.head_dim; ++i) {
    const std::int64_t head = i / c.head_dim;
    copies.push_back(keys[static_cast<std::size_t>(head / group * c.head_dim + i % c.head_dim)]);
  }
  return copies;
}

/// Σ |dv of one query head| over the heads of a group: a device may round each of them before it adds them
/// up. The first keys of a causal mask, which all queries see, have far larger ones than the mean.
std::vector<double> terms_of_dv(const AttentionCase& c, const ProblemBuilder& grouped,
                                const AttentionOperands& o) {
  AttentionCase each = c;
  each.kv_heads = c.heads;
  ProblemBuilder b(fmt::format("attention_backward/{}", c.name), grouped.storage());
  const AttentionOperands forward = operands(b, each);
  b.set(forward.k, of_query_heads(c, grouped.values(o.k)));
  b.set(forward.v, of_query_heads(c, grouped.values(o.v)));
  const BackwardOperands backward = backward_operands(b, each, forward);
  b.prepare([&](Ops& ops, const Views& v) { run_backward(each, backward, ops, v); });
  std::vector<double> terms(static_cast<std::size_t>(c.batch * c.keys * c.kv_heads * c.head_dim));
  const std::vector<double>& dv = b.values(backward.dv);
  const std::int64_t group = c.heads / c.kv_heads;
  for (std::size_t i = 0; i < dv.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i), head = at / c.head_dim;
    terms[static_cast<std::size_t>(head / group * c.head_dim + at % c.head_dim)] += std::abs(dv[i]);
  }
  return terms;
}

Problem attention_backward(const AttentionCase& c, Storage storage) {
  ProblemBuilder b(fmt::format("attention_backward/{}", c.name), storage);
  const AttentionOperands forward = operands(b, c);
  const BackwardOperands o = backward_operands(b, c, forward);
  // Their terms are dscores × keys or queries; dout·out, in which `out` may be rounded, cancels in each.
  // Dropout enlarges what it keeps, and with it every term.
  const double terms = 3 / (1 - static_cast<double>(c.dropout));
  b.cancels(o.dq, terms), b.cancels(o.dk, terms);
  if (c.heads != c.kv_heads) b.cancels(o.dv, terms_of_dv(c, b, forward));
  return b.build([=](Ops& ops, const Views& v) { run_backward(c, o, ops, v); });
}

}  // namespace

std::vector<Problem> attention_problems(Storage storage) {
  std::vector<Problem> problems;
  for (const AttentionCase& c : kCases) {
    problems.push_back(attention_forward(c, storage));
    problems.push_back(attention_backward(c, storage));
  }
  return problems;
}

}  // namespace caravan::testing
